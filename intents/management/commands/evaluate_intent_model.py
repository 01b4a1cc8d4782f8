"""``manage.py evaluate_intent_model``: measures an intent model on a file of labelled comments."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from intents import evaluation, labelled
from intents.classifier import MODEL_DIR, Classifier, Prediction

BATCH = 256  # comments between two moves of the progress bar


class Command(BaseCommand):
    """Prints how good a model is, with intervals, and writes the same as JSON."""

    help = (
        "Measures an intent model on a CSV file with the columns text and label, or text and pi "
        "(1 for purchase intent, 0 for anything else). Every other column with at most "
        f"{labelled.MAX_SLICES} different values is told value by value. A comment is flagged "
        "from REVIEW_MIN_SCORE on. Needs no database."
    )
    requires_system_checks = []  # it has no use for the database or the cache

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--data", type=Path, required=True, help="CSV file")
        parser.add_argument("--json", type=Path, help="also write the figures to this file")
        parser.add_argument(
            "--model",
            type=Path,
            default=MODEL_DIR,
            help="folder of the model (default: the one that is shipped, %(default)s)",
        )

    def handle(self, *, data: Path, json: Path | None, model: Path, **_: Any) -> None:
        try:
            examples = labelled.read_sample(data)
            if not examples:
                raise CommandError(f"{data}: there is no comment in it, only the header")
            classifier = Classifier.load(model)
        except (labelled.DataError, OSError) as error:
            raise CommandError(str(error)) from error
        except ValueError as error:
            raise CommandError(f"{model}: {error}") from error
        predictions = _predict(classifier, [example.text for example in examples])
        figures = {"model": classifier.version, "data": data.name} | evaluation.evaluate(
            examples, predictions, settings.REVIEW_MIN_SCORE
        )
        self.stdout.write(f"{classifier.version} on {data}\n\n{evaluation.table(figures)}")
        if json:
            _write(json, figures)


def _predict(classifier: Classifier, texts: Sequence[str]) -> list[Prediction]:
    predictions: list[Prediction] = []
    with tqdm(total=len(texts), unit=" comments", delay=1, disable=None) as progress:
        for start in range(0, len(texts), BATCH):
            predictions += classifier.predict(texts[start : start + BATCH])
            progress.update(len(predictions) - progress.n)
    return predictions


def _write(path: Path, figures: dict[str, Any]) -> None:
    try:
        content = json.dumps(figures, indent=2, ensure_ascii=False)
        path.write_text(content + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"The figures could not be written: {error}") from error
