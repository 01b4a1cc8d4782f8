"""Trains the head of the intent model and measures models. Nothing of it runs in the service."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_fscore_support,
)
from sklearn.model_selection import StratifiedKFold

from intents.classifier import (
    DATA_DIR,
    EMBEDDING_SIZE,
    LABELS,
    NGRAM_BUCKETS,
    Head,
    embed,
    flag_features,
    ngram_features,
    normalise,
)

COMMENTS_PATH = DATA_DIR / "comments.csv"
FOLDS = 5
REGULARISATION = 5.0  # scikit-learn's C, chosen by cross-validation on the committed comments
BUYING = LABELS.index("purchase_intent")


class DataError(ValueError):
    """A file of examples can't be used; the message names the file, the line and the field."""


class Example(NamedTuple):
    """A comment and the label a person gave it."""

    text: str
    label: str


class Trap(NamedTuple):
    """A written comment that tempts a model, the trap's name, and whether its author buys."""

    text: str
    slice: str
    buys: bool


def read_examples(path: Path) -> list[Example]:
    """Read a CSV file with the columns text and label; others are ignored.

    Raises DataError for an empty text, an unknown label or a text that stands there twice, and
    OSError when the file can't be read.
    """
    examples: list[Example] = []
    first_lines: dict[str, int] = {}
    for line, row in _rows(path, ("text", "label")):
        if row["label"] not in LABELS:
            raise DataError(
                f"{path}, line {line}, label: {row['label']!r} is none of {', '.join(LABELS)}"
            )
        key = normalise(row["text"]).casefold()
        if key in first_lines:
            raise DataError(f"{path}, line {line}, text: stands already in line {first_lines[key]}")
        first_lines[key] = line
        examples.append(Example(row["text"], row["label"]))
    return examples


def read_traps(path: Path) -> list[Trap]:
    """Read a CSV file with the columns text, slice and pi (1 where the author means to buy).

    Raises DataError for an empty text or another pi, and OSError when the file can't be read.
    """
    traps: list[Trap] = []
    for line, row in _rows(path, ("text", "slice", "pi")):
        if row["pi"] not in ("0", "1"):
            raise DataError(f"{path}, line {line}, pi: {row['pi']!r} is neither 0 nor 1")
        traps.append(Trap(row["text"], row["slice"], row["pi"] == "1"))
    return traps


def columns_of(path: Path) -> set[str]:
    """The column names of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return set(next(csv.reader(file), []))


def train(data_path: Path = COMMENTS_PATH) -> Head:
    """Cross-validate on a file of examples, then train on all of it.

    The same data gives the same head, byte for byte, on one machine with the same packages.
    Raises DataError as `read_examples` does, and for fewer than FOLDS examples of a label.
    """
    examples = read_examples(data_path)
    labels = np.array([LABELS.index(example.label) for example in examples])
    for index, label in enumerate(LABELS):
        if (count := int((labels == index).sum())) < FOLDS:
            raise DataError(f"{data_path}: {count} examples of {label}, at least {FOLDS} needed")
    features = _features([example.text for example in examples])
    cross_validation = _cross_validate(features, labels)
    model = _fit(features, labels)
    embedding, ngrams, flags = np.split(
        model.coef_, [EMBEDDING_SIZE, EMBEDDING_SIZE + NGRAM_BUCKETS], axis=1
    )
    record = {
        "data_sha256": hashlib.sha256(data_path.read_bytes()).hexdigest(),
        "examples": len(examples),
        "regularisation": REGULARISATION,
        "scikit_learn": sklearn.__version__,
        "cross_validation": cross_validation,
    }
    return Head(embedding, ngrams, flags, np.asarray(model.intercept_), record)


def measure(
    labels: Sequence[str], predicted: Sequence[str], scores: Sequence[float]
) -> dict[str, Any]:
    """How good predictions are, in values from 0 to 1 and counts.

    `scores` rank by purchase intent, in any unit. The confusion matrix has a row for each true
    label and a column for each predicted one, in the order of `LABELS`.
    """
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=LABELS, zero_division=0.0
    )
    buying = [label == LABELS[BUYING] for label in labels]
    return {
        "classes": {
            label: {
                "precision": round(float(precision[i]), 4),
                "recall": round(float(recall[i]), 4),
                "f1": round(float(f1[i]), 4),
                "examples": int(support[i]),
            }
            for i, label in enumerate(LABELS)
        },
        "accuracy": round(float(np.mean(np.array(labels) == np.array(predicted))), 4),
        "purchase_intent_average_precision": _average_precision(buying, scores),
        "confusion": confusion_matrix(labels, predicted, labels=LABELS).tolist(),
    }


def measure_flags(
    buys: Sequence[bool], scores: Sequence[float], from_score: float
) -> dict[str, float]:
    """Precision, recall and F1 of calling everybody a buyer whose score is `from_score` or more."""
    flags = [score >= from_score for score in scores]
    precision, recall, f1, _ = precision_recall_fscore_support(
        buys, flags, average="binary", zero_division=0.0
    )
    return {
        "from_score": from_score,
        "flagged": sum(flags),
        "precision": round(float(precision), 4),
        "recall": round(float(recall), 4),
        "f1": round(float(f1), 4),
    }


def measure_traps(
    traps: Sequence[Trap], scores: Sequence[float], from_score: float
) -> dict[str, Any]:
    """How many of each slice have a score of `from_score` or more, and the average precision."""
    slices = {trap.slice: {"flagged": 0, "examples": 0} for trap in traps}
    for trap, score in zip(traps, scores, strict=True):
        slices[trap.slice]["examples"] += 1
        slices[trap.slice]["flagged"] += score >= from_score
    return {
        "slices": slices,
        "purchase_intent_average_precision": _average_precision(
            [trap.buys for trap in traps], scores
        ),
    }


def table(metrics: dict[str, Any]) -> str:
    """What `measure` returned, for people."""
    lines = [f"{'':18}{'precision':>10}{'recall':>8}{'F1':>6}{'examples':>10}"]
    lines += [
        f"{label:18}{row['precision']:10.2f}{row['recall']:8.2f}{row['f1']:6.2f}{row['examples']:10}"
        for label, row in metrics["classes"].items()
    ]
    lines += [
        f"accuracy {metrics['accuracy']:.2f}",
        f"average precision of purchase_intent {metrics['purchase_intent_average_precision']}",
        "",
        "rows: true label, columns: predicted, in the order above",
    ]
    lines += [
        f"{label:18}" + "".join(f"{count:6}" for count in row)
        for label, row in zip(LABELS, metrics["confusion"], strict=True)
    ]
    return "\n".join(lines)


def _rows(path: Path, fields: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with the line each ends in; the fields are there and not empty."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        try:
            if missing := [name for name in fields if name not in (reader.fieldnames or ())]:
                raise DataError(f"{path}, line 1: no column {', '.join(missing)}")
            for row in reader:
                for name in fields:
                    if not (row[name] or "").strip():
                        raise DataError(f"{path}, line {reader.line_num}, {name}: empty")
                yield reader.line_num, row
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8: {error}") from error
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}") from error


def _average_precision(buys: Sequence[bool], scores: Sequence[float]) -> float | None:
    """None where nobody buys: there is nothing to rank."""
    return round(float(average_precision_score(buys, scores)), 4) if any(buys) else None


def _features(texts: Sequence[str]) -> csr_matrix:
    """Shape (texts, EMBEDDING_SIZE + NGRAM_BUCKETS + flags), in this order."""
    cleaned = [normalise(text) for text in texts]
    pairs = [ngram_features(text) for text in cleaned]
    starts = np.cumsum([0, *(len(buckets) for buckets, _ in pairs)])
    buckets = np.concatenate([buckets for buckets, _ in pairs])
    weights = np.concatenate([weights for _, weights in pairs])
    ngrams = csr_matrix((weights, buckets, starts), shape=(len(texts), NGRAM_BUCKETS))
    flags = np.array([flag_features(text) for text in cleaned])
    return csr_matrix(hstack([csr_matrix(embed(cleaned)), ngrams, csr_matrix(flags)]))


def _fit(features: csr_matrix, labels: NDArray[np.int64]) -> Any:
    return LogisticRegression(C=REGULARISATION, max_iter=3_000).fit(features, labels)


def _cross_validate(features: csr_matrix, labels: NDArray[np.int64]) -> dict[str, Any]:
    """What `measure` says when each example is predicted by a model that hasn't seen it."""
    probabilities = np.zeros((len(labels), len(LABELS)))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for seen, unseen in folds.split(features, labels):
        model = _fit(features[seen], labels[seen])
        probabilities[unseen] = model.predict_proba(features[unseen])
    return measure(
        [LABELS[i] for i in labels],
        [LABELS[i] for i in probabilities.argmax(axis=1)],
        probabilities[:, BUYING].tolist(),
    )
