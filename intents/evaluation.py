"""Measures a model on labelled comments. Knows no Django, no table and no encoder.

Scores are whole percents, so comments with the same score, answer and truth are one cell with a
count. Every figure is a function of the counts, and a bootstrap is a thousand other counts of the
same cells: figures and their intervals come from the same lines, in seconds for any file.

A figure that has nothing to be computed from (the precision of what was never said) is NaN here
and null in the report.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from intents.classifier import LABELS, Prediction
from intents.labelled import BUYING, NOT_BUYING, Example

NATURAL_RATE = 0.05
"""Share of buyers among a brand's comments; files have more, so that there is something to count.
"""
AUTOMATIC_FROM = 80
"""Score from which a message may go out without a person, unless the answer is held."""
WISHED_RECALL = 0.6
BINS = 10
RESAMPLES = 1_000
LEVEL = 0.95

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Cells(NamedTuple):
    """The different comments, as far as any figure can tell; each array has one entry a cell."""

    truth: Ints
    """Index in `LABELS`, or their number for `NOT_BUYING`."""
    predicted: Ints
    score: Ints
    held: Ints
    counts: Ints

    @property
    def buys(self) -> NDArray[np.bool_]:
        return np.asarray(self.truth == LABELS.index(BUYING))


class Curve(NamedTuple):
    """What happens when everybody from a score on is called a buyer; shape (samples, 101) each.

    The first column is the score 100, the last the score 0.
    """

    true: Floats
    flagged: Floats

    @property
    def buyers(self) -> Floats:
        return self.true[:, -1:]

    @property
    def others(self) -> Floats:
        return self.flagged[:, -1:] - self.buyers


def evaluate(
    examples: Sequence[Example], predictions: Sequence[Prediction], min_score: int
) -> dict[str, Any]:
    """How good predictions are: values from 0 to 1 (None where there is nothing to tell), counts.

    `min_score` is the score (0 to 100) from which a comment is shown to an operator. Examples
    that only tell buyers from others have no figures of the six labels. Raises ValueError when
    there is no example.
    """
    if not examples:
        raise ValueError("there is no example")
    cells = _cells(examples, predictions)
    counts = cells.counts[np.newaxis].astype(np.float64)
    curve = _curve(cells, counts)
    automatic = _automatic(cells, counts)
    return {
        "examples": len(examples),
        "buyers": int(curve.buyers[0, 0]),
        **_labels(cells, counts),
        "average_precision": _number(average_precision(curve)),
        "natural_rate": NATURAL_RATE,
        "average_precision_natural": _number(average_precision(curve, NATURAL_RATE)),
        "flagged_at_review_min_score": _flagged(curve, min_score),
        "flagged_at_50": _flagged(curve, 50),
        "best_f1_optimistic": _best_f1(curve),
        "precision_at_recall_60": _precision_at_recall(curve),
        "automatic": automatic,
        "calibration": _calibration(cells, counts),
        "held": dict(Counter(prediction.hold for prediction in predictions if prediction.hold)),
        "slices": _slices(examples, predictions, min_score),
        "intervals": _intervals(cells, min_score),
    }


# Figures: arrays with one value for each row of counts --------------------------------------------


def average_precision(curve: Curve, rate: float | None = None) -> Floats:
    """Average precision of purchase intent; with a rate, as if buyers were that share of all.

    NaN without buyers or without others.
    """
    recall = _divide(curve.true, curve.buyers)
    if rate is None:
        precision = _divide(curve.true, curve.flagged)
    else:
        false = _divide(curve.flagged - curve.true, curve.others)
        precision = _divide(rate * recall, rate * recall + (1 - rate) * false)
    gained = np.diff(recall, prepend=0.0)
    area = np.where(gained > 0, gained * precision, 0.0).sum(axis=1)
    both = (curve.buyers > 0) & (curve.others > 0)
    return np.asarray(np.where(both[:, 0], area, np.nan))


def f1_of_flagging(curve: Curve, from_score: int) -> Floats:
    """F1 of calling everybody a buyer whose score is `from_score` or more."""
    return np.asarray(_f1s(curve)[:, 100 - from_score])


def automatic_precision(cells: Cells, counts: Floats) -> Floats:
    """Share of buyers among those who may get a message without a person."""
    automatic = _is_automatic(cells)
    return _divide(_sum(counts, automatic & cells.buys), _sum(counts, automatic))


def calibration_error(cells: Cells, counts: Floats) -> Floats:
    """Expected calibration error of the score as a probability, over `BINS` bins of equal width."""
    sizes, scores, buyers = _bins(cells, counts)
    gaps = np.abs(scores - buyers).sum(axis=1)  # each bin's gap times its size
    return _divide(gaps, sizes.sum(axis=1))


def accuracy(cells: Cells, counts: Floats) -> Floats:
    """Share of comments that have the right one of the six labels."""
    return _divide(_sum(counts, cells.truth == cells.predicted), counts.sum(axis=1))


def macro_f1(cells: Cells, counts: Floats) -> Floats:
    """The mean F1 of the labels that there are examples of."""
    f1s = []
    for index in range(len(LABELS)):
        true, said, right = _of_label(cells, counts, index)
        f1s.append(np.where(true > 0, _divide(2 * right, true + said), np.nan))
    there = ~np.isnan(f1s)
    return _divide(np.nansum(f1s, axis=0), there.sum(axis=0).astype(np.float64))


# Parts of the report ------------------------------------------------------------------------------


def _labels(cells: Cells, counts: Floats) -> dict[str, Any]:
    if _only_buyers_are_told(cells):
        return dict.fromkeys(("accuracy", "macro_f1", "classes", "confusion"))
    classes = {}
    for index, label in enumerate(LABELS):
        true, said, right = _of_label(cells, counts, index)
        classes[label] = {
            "precision": _number(_divide(right, said)),
            "recall": _number(_divide(right, true)),
            "f1": _number(_divide(2 * right, true + said)),
            "examples": int(true[0]),
        }
    confusion = np.zeros((len(LABELS), len(LABELS)), np.int64)
    np.add.at(confusion, (cells.truth, cells.predicted), cells.counts)
    return {
        "accuracy": _number(accuracy(cells, counts)),
        "macro_f1": _number(macro_f1(cells, counts)),
        "classes": classes,
        # a row for each true label, a column for each predicted one
        "confusion": {"labels": list(LABELS), "rows": confusion.tolist()},
    }


def _flagged(curve: Curve, from_score: int) -> dict[str, Any]:
    column = [100 - from_score]
    true, flagged = curve.true[:, column], curve.flagged[:, column]
    return {
        "from_score": from_score,
        "flagged": int(flagged[0, 0]),
        "precision": _number(_divide(true, flagged)),
        "recall": _number(_divide(true, curve.buyers)),
        "f1": _number(f1_of_flagging(curve, from_score)),
    }


def _best_f1(curve: Curve) -> dict[str, Any]:
    """Optimistic: the score was chosen on the very comments that it is measured on."""
    f1s = np.nan_to_num(_f1s(curve)[0])
    best = int(f1s.argmax())
    if not f1s[best]:
        return {"f1": None, "from_score": None}
    return {"f1": _number(f1s[best : best + 1]), "from_score": 100 - best}


def _precision_at_recall(curve: Curve) -> dict[str, Any]:
    """The best precision of a score that finds `WISHED_RECALL` of the buyers."""
    if not curve.buyers[0, 0]:
        return {"precision": None, "from_score": None}
    precision = _divide(curve.true, curve.flagged)[0]
    found = curve.true[0] >= WISHED_RECALL * curve.buyers[0]
    best = int(np.where(found, precision, -1.0).argmax())
    return {"precision": _number(precision[best : best + 1]), "from_score": 100 - best}


def _automatic(cells: Cells, counts: Floats) -> dict[str, Any]:
    automatic, buys = _is_automatic(cells), cells.buys
    right = _sum(counts, automatic & buys)
    return {
        "from_score": AUTOMATIC_FROM,
        "count": int(_sum(counts, automatic)[0]),
        "false": int(_sum(counts, automatic & ~buys)[0]),
        "precision": _number(automatic_precision(cells, counts)),
        "recall": _number(_divide(right, _sum(counts, buys))),
    }


def _calibration(cells: Cells, counts: Floats) -> dict[str, Any]:
    sizes, scores, buyers = (part[0] for part in _bins(cells, counts))
    return {
        "expected_error": _number(calibration_error(cells, counts)),
        "binning": f"{BINS} bins of equal width",
        "bins": [
            {
                "from_score": 10 * index,
                "to_score": 10 * index + (10 if index == BINS - 1 else 9),
                "examples": int(size),
                "mean_score": _number(_divide(100 * scores[[index]], sizes[[index]])),
                "buyers_share": _number(_divide(buyers[[index]], sizes[[index]])),
            }
            for index, size in enumerate(sizes)
        ],
    }


def _slices(
    examples: Sequence[Example], predictions: Sequence[Prediction], min_score: int
) -> dict[str, dict[str, Any]]:
    """By column and value: how many there are, are flagged, and would be answered by no person."""
    rows: dict[tuple[str, str], list[int]] = {}
    for index, example in enumerate(examples):
        for kind in example.slices.items():
            rows.setdefault(kind, []).append(index)
    slices: dict[str, dict[str, Any]] = {}
    for (column, value), indexes in sorted(rows.items()):
        cells = _cells([examples[i] for i in indexes], [predictions[i] for i in indexes])
        counts = cells.counts[np.newaxis].astype(np.float64)
        curve = _curve(cells, counts)
        automatic = _automatic(cells, counts)
        slices.setdefault(column, {})[value] = {
            "examples": len(indexes),
            "buyers": int(curve.buyers[0, 0]),
            "flagged": int(curve.flagged[0, 100 - min_score]),
            "automatic": {"count": automatic["count"], "false": automatic["false"]},
            "average_precision": _number(average_precision(curve)),
        }
    return slices


def _intervals(cells: Cells, min_score: int) -> dict[str, Any]:
    """What a thousand other files of the same kind would have given, from 2.5 to 97.5 %.

    To draw comments with replacement is to draw how often each cell comes.
    """
    n = int(cells.counts.sum())
    drawn = np.random.default_rng(0).multinomial(n, cells.counts / n, size=RESAMPLES)
    counts = drawn.astype(np.float64)
    curve = _curve(cells, counts)
    samples = {
        "average_precision": average_precision(curve),
        "average_precision_natural": average_precision(curve, NATURAL_RATE),
        "f1_at_review_min_score": f1_of_flagging(curve, min_score),
        "automatic_precision": automatic_precision(cells, counts),
        "expected_calibration_error": calibration_error(cells, counts),
    }
    if not _only_buyers_are_told(cells):
        samples["accuracy"] = accuracy(cells, counts)
        samples["macro_f1"] = macro_f1(cells, counts)
    return {
        "level": LEVEL,
        "resamples": RESAMPLES,
        **{name: _interval(values) for name, values in samples.items()},
    }


def _interval(values: Floats) -> list[float] | None:
    told = values[~np.isnan(values)]
    if not told.size:
        return None
    outside = (1 - LEVEL) / 2
    return [round(float(bound), 4) for bound in np.quantile(told, (outside, 1 - outside))]


# Counting -----------------------------------------------------------------------------------------


def _cells(examples: Sequence[Example], predictions: Sequence[Prediction]) -> Cells:
    places = {label: index for index, label in enumerate((*LABELS, NOT_BUYING))}
    rows = np.array(
        [
            (places[example.label], places[said.label], said.score, bool(said.hold))
            for example, said in zip(examples, predictions, strict=True)
        ],
        np.int64,
    )
    different, counts = np.unique(rows, axis=0, return_counts=True)
    truth, predicted, score, held = different.T
    return Cells(truth, predicted, score, held, counts)


def _curve(cells: Cells, counts: Floats) -> Curve:
    has_score = (cells.score[:, np.newaxis] == np.arange(100, -1, -1)).astype(np.float64)
    flagged = np.cumsum(counts @ has_score, axis=1)
    true = np.cumsum(counts @ (has_score * cells.buys[:, np.newaxis]), axis=1)
    return Curve(true, flagged)


def _bins(cells: Cells, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """How many, the sum of their scores (as probabilities) and the buyers; (samples, BINS) each."""
    bins = np.minimum(cells.score // 10, BINS - 1)
    is_in = (bins[:, np.newaxis] == np.arange(BINS)).astype(np.float64)
    scores = is_in * (cells.score / 100)[:, np.newaxis]
    return counts @ is_in, counts @ scores, counts @ (is_in * cells.buys[:, np.newaxis])


def _of_label(cells: Cells, counts: Floats, index: int) -> tuple[Floats, Floats, Floats]:
    """How many have the label, how many are said to, and how many of these rightly."""
    true, said = cells.truth == index, cells.predicted == index
    return _sum(counts, true), _sum(counts, said), _sum(counts, true & said)


def _is_automatic(cells: Cells) -> NDArray[np.bool_]:
    return np.asarray((cells.score >= AUTOMATIC_FROM) & (cells.held == 0))


def _only_buyers_are_told(cells: Cells) -> bool:
    return bool((cells.truth == len(LABELS)).any())


def _f1s(curve: Curve) -> Floats:
    return _divide(2 * curve.true, curve.flagged + curve.buyers)


def _sum(counts: Floats, which: NDArray[np.bool_]) -> Floats:
    return np.asarray(counts @ which)


def _divide(part: Floats, whole: Floats) -> Floats:
    """NaN where there is no whole."""
    part, whole = np.broadcast_arrays(part, whole)
    share = np.full(part.shape, np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def _number(values: Floats) -> float | None:
    """The first value for the report."""
    value = float(values.flat[0])
    return None if np.isnan(value) else round(value, 4)


# For people ---------------------------------------------------------------------------------------


def table(figures: dict[str, Any]) -> str:
    """What `evaluate` returned, for people. Names from the file come without control characters."""
    parts: list[Callable[[dict[str, Any]], list[str]]] = [
        _class_lines,
        _buyer_lines,
        _calibration_lines,
        _slice_lines,
    ]
    return "\n".join("\n".join(lines) for part in parts if (lines := part(figures))) + "\n"


def _class_lines(figures: dict[str, Any]) -> list[str]:
    if figures["classes"] is None:
        return []
    rows = figures["confusion"]["rows"]
    lines = [f"{'':18}precision  recall    F1  examples"]
    lines += [
        f"{label:18}{_show(row['precision']):>9}{_show(row['recall']):>8}{_show(row['f1']):>6}"
        f"{row['examples']:10,}"
        for label, row in figures["classes"].items()
    ]
    lines += ["", "rows: what they are, columns: what the model says, in the order above"]
    lines += [
        f"{label:18}" + "".join(f"{count:7,}" for count in row)
        for label, row in zip(LABELS, rows, strict=True)
    ]
    between = figures["intervals"]
    lines += ["", _line("accuracy", figures["accuracy"], between["accuracy"])]
    lines += [_line("macro-F1", figures["macro_f1"], between["macro_f1"]), ""]
    return lines


def _buyer_lines(figures: dict[str, Any]) -> list[str]:
    between = figures["intervals"]
    best, at_recall = figures["best_f1_optimistic"], figures["precision_at_recall_60"]
    automatic = figures["automatic"]
    lines = [
        f"purchase intent: {figures['buyers']:,} of {figures['examples']:,} comments",
        _line("average precision", figures["average_precision"], between["average_precision"]),
        _line(
            f"  if {figures['natural_rate']:.0%} bought",
            figures["average_precision_natural"],
            between["average_precision_natural"],
        ),
        _flag_line(figures["flagged_at_review_min_score"], between["f1_at_review_min_score"]),
        _flag_line(figures["flagged_at_50"], None),
        f"{'best F1 (optimistic)':24}{_show(best['f1'])}  from {best['from_score']} on",
        f"{'precision at recall .6':24}{_show(at_recall['precision'])}"
        f"  from {at_recall['from_score']} on",
        _line("automatic: precision", automatic["precision"], between["automatic_precision"])
        + f", recall {_show(automatic['recall'])}; from {automatic['from_score']} on:"
        f" {automatic['count']:,}, {automatic['false']:,} of them no buyers",
    ]
    if held := figures["held"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(held.items()))
        lines.append(f"{'held':24}{reasons}")
    return lines


def _calibration_lines(figures: dict[str, Any]) -> list[str]:
    calibration = figures["calibration"]
    error = calibration["expected_error"]
    lines = [
        _line("calibration error", error, figures["intervals"]["expected_calibration_error"])
        + f", {calibration['binning']}",
        "",
        f"{'score':18}{'examples':>10}{'mean score':>12}{'of 100 buy':>12}",
    ]
    lines += [
        f"{row['from_score']:3} to {row['to_score']:3}{'':8}{row['examples']:10,}"
        f"{row['mean_score']:12.1f}{100 * row['buyers_share']:12.1f}"
        for row in calibration["bins"]
        if row["examples"]
    ]
    return lines


def _slice_lines(figures: dict[str, Any]) -> list[str]:
    lines = []
    for column, values in figures["slices"].items():
        head = (
            f"{'examples':>10}{'buyers':>8}{'flagged':>9}{'automatic':>11}{'(false)':>9}{'AP':>6}"
        )
        lines += ["", f"{_plain(column):30}{head}"]
        for value, row in values.items():
            automatic = row["automatic"]
            lines.append(
                f"{_plain(value):30}{row['examples']:10,}{row['buyers']:8,}{row['flagged']:9,}"
                f"{automatic['count']:11,}{automatic['false']:9,}"
                f"{_show(row['average_precision']):>6}"
            )
    return lines


def _flag_line(row: dict[str, Any], interval: list[float] | None) -> str:
    return (
        _line(f"flagged from {row['from_score']} on: F1", row["f1"], interval)
        + f", precision {_show(row['precision'])}, recall {_show(row['recall'])};"
        f" {row['flagged']:,} flagged"
    )


def _line(name: str, value: float | None, interval: list[float] | None) -> str:
    between = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    return f"{name:24}{_show(value)}{between}"


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _plain(name: str) -> str:
    """A name from a file: strangers' text must not steer the terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name)[:29]
