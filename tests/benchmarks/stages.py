"""What the first stage spares, and what it changes: the model with it and without it.

A process of its own, pinned to a core by who starts it. It reads a `Task` from standard input and
writes a `Report` to standard output.
"""

import sys
import time

import msgspec
import numpy as np

from intents.classifier import Classifier, Prediction, normalise
from intents.encoder import tokenizer

WARM_UP = 256  # texts


class Task(msgspec.Struct):
    """A stream, the product's batch size, and the score from which on a comment is flagged."""

    texts: list[str]
    batch: int
    flagged_from: int


class Report(msgspec.Struct):
    """Figures of the distinct texts of the stream; shares in percent."""

    distinct_texts: int
    first_stage_percent: float
    staged_cpu_s_per_1000: float
    strong_cpu_s_per_1000: float
    other_side_percent: float
    """One of the two flags it, the other does not."""
    other_label_percent: float
    mean_tokens: float
    """Of all comments, uncut."""


def main() -> None:
    """Predict with both and report."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    sys.stdout.buffer.write(msgspec.json.encode(_compare(task)))


def _compare(task: Task) -> Report:
    texts = list({normalise(text): text for text in task.texts}.values())
    staged = Classifier.load()
    strong = staged.without_first_stage()
    for classifier in (staged, strong):
        classifier.predict(texts[:WARM_UP])
        classifier.answered_by.clear()
    cpu = [0.0, 0.0]
    pairs: list[tuple[Prediction, Prediction]] = []
    for start in range(0, len(texts), task.batch):
        batch = texts[start : start + task.batch]
        answers = []
        for place, classifier in enumerate((staged, strong)):  # in turns: machines get slower
            before = time.process_time()
            answers.append(classifier.predict(batch))
            cpu[place] += time.process_time() - before
        pairs += zip(*answers, strict=True)
    limit = task.flagged_from
    return Report(
        distinct_texts=len(texts),
        first_stage_percent=100 * staged.answered_by["first_stage"] / len(texts),
        staged_cpu_s_per_1000=1_000 * cpu[0] / len(texts),
        strong_cpu_s_per_1000=1_000 * cpu[1] / len(texts),
        other_side_percent=_percent([(a.score >= limit) != (b.score >= limit) for a, b in pairs]),
        other_label_percent=_percent([a.label != b.label for a, b in pairs]),
        mean_tokens=float(np.mean([len(e.ids) for e in tokenizer().encode_batch(task.texts)])),
    )


def _percent(found: list[bool]) -> float:
    return 100 * sum(found) / len(found)


if __name__ == "__main__":
    main()
