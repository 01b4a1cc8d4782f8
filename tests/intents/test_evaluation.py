"""The figures are those that one gets by hand, and there are none where there is nothing to tell.

`buyer(90)` is a comment of a buyer that was given the score 90.
"""

import json
from typing import Any

import pytest

from intents.classifier import LABELS, Prediction
from intents.evaluation import evaluate, table
from intents.labelled import NOT_BUYING, Example

Case = tuple[Example, Prediction]


def case(label: str, score: int, predicted: str = "other", hold: str = "", **slices: str) -> Case:
    return Example("a text", label, slices), Prediction(predicted, score, 0.5, hold)


def buyer(score: int, **more: str) -> Case:
    return case("purchase_intent", score, **more)


def other(score: int, **more: str) -> Case:
    return case("other", score, **more)


def figures_of(*cases: Case) -> dict[str, Any]:
    examples, predictions = zip(*cases, strict=True)
    return evaluate(examples, predictions, 60)


@pytest.fixture
def mixed() -> dict[str, Any]:
    """Ten buyers and thirty others, most of them told apart."""
    return figures_of(
        *[buyer(score, sample="random") for score in (95, 95, 90, 85, 85, 70, 70, 55, 30, 10)],
        *[other(score, sample="enriched") for score in (90, 65, 55, 50, *range(26))],
    )


def test_precision_and_recall_of_each_label():
    figures = figures_of(
        case("praise", 10, "praise"),
        case("praise", 10, "other"),
        case("other", 10, "other"),
        case("complaint", 10, "other"),
    )
    assert figures["classes"]["praise"] == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": 0.6667,
        "examples": 2,
    }
    assert figures["classes"]["other"]["precision"] == 0.3333
    assert figures["accuracy"] == 0.5
    # praise 2/3, other 1/2, complaint 0; of the other labels there is no example
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 3, abs=1e-4)


def test_the_confusion_matrix_has_a_row_for_each_true_label():
    confusion = figures_of(case("praise", 10, "spam"))["confusion"]
    assert confusion["labels"] == list(LABELS)
    assert confusion["rows"][LABELS.index("praise")][LABELS.index("spam")] == 1


def test_average_precision_is_the_mean_precision_at_each_buyer():
    assert figures_of(buyer(90), other(70), buyer(30))["average_precision"] == pytest.approx(
        (1 + 2 / 3) / 2, abs=1e-4
    )


def test_equal_scores_have_no_order():
    assert figures_of(buyer(50), other(50), other(50))["average_precision"] == 0.3333


def test_at_the_natural_rate_each_other_counts_as_many():
    # recall 1 from 90 on, where half of the others are too: .05 / (.05 + .95 / 2)
    figures = figures_of(buyer(90), other(90), other(10))
    assert figures["average_precision_natural"] == pytest.approx(0.05 / 0.525, abs=1e-4)
    assert figures["natural_rate"] == 0.05


def test_flagging_is_measured_at_two_scores(mixed):
    assert mixed["flagged_at_review_min_score"] == {
        "from_score": 60,
        "flagged": 9,
        "precision": 0.7778,
        "recall": 0.7,
        "f1": 0.7368,
    }
    assert mixed["flagged_at_50"]["from_score"] == 50
    assert mixed["flagged_at_50"]["flagged"] == 12


def test_the_best_f1_comes_with_its_score_and_is_called_optimistic():
    best = figures_of(buyer(90), buyer(70), other(60), other(10))["best_f1_optimistic"]
    assert best == {"f1": 1.0, "from_score": 70}


def test_precision_at_recall_is_that_of_the_best_score_that_finds_enough(mixed):
    # six of ten buyers are needed; seven are found from 70 on, with one who does not buy
    assert mixed["precision_at_recall_60"] == {"precision": 0.875, "from_score": 70}


def test_what_is_held_is_not_automatic():
    figures = figures_of(
        buyer(95), buyer(80), other(85), buyer(90, hold="language"), buyer(79), other(5)
    )
    assert figures["automatic"] == {
        "from_score": 80,
        "count": 3,
        "false": 1,
        "precision": 0.6667,
        "recall": 0.5,
    }
    assert figures["held"] == {"language": 1}


def test_the_calibration_error_is_the_mean_gap_of_the_bins():
    # 100 with a buyer: no gap; 5 and 5 with one buyer of two: a gap of .45
    calibration = figures_of(buyer(100), buyer(5), other(5))["calibration"]
    assert calibration["expected_error"] == pytest.approx(0.45 * 2 / 3, abs=1e-4)
    assert calibration["binning"] == "10 bins of equal width"
    assert calibration["bins"][0] == {
        "from_score": 0,
        "to_score": 9,
        "examples": 2,
        "mean_score": 5.0,
        "buyers_share": 0.5,
    }
    assert calibration["bins"][9]["to_score"] == 100


def test_each_slice_is_told_by_column_and_value(mixed):
    assert mixed["slices"]["sample"]["enriched"] == {
        "examples": 30,
        "buyers": 0,
        "flagged": 2,
        "automatic": {"count": 1, "false": 1},
        "average_precision": None,
    }
    assert mixed["slices"]["sample"]["random"]["buyers"] == 10


def test_intervals_hold_the_figure_and_are_the_same_each_time(mixed):
    for name in ("average_precision", "average_precision_natural", "accuracy", "macro_f1"):
        low, high = mixed["intervals"][name]
        assert low < mixed[name] < high
    again = figures_of(
        *[buyer(score) for score in (95, 95, 90, 85, 85, 70, 70, 55, 30, 10)],
        *[other(score) for score in (90, 65, 55, 50, *range(26))],
    )
    assert again["intervals"] == mixed["intervals"]


def test_where_only_buyers_are_told_there_are_no_figures_of_six_labels():
    figures = figures_of(buyer(90), case(NOT_BUYING, 20))
    assert figures["average_precision"] == 1.0
    names = ("classes", "confusion", "accuracy", "macro_f1")
    assert [figures[name] for name in names] == [None] * 4
    assert "accuracy" not in figures["intervals"]


@pytest.mark.parametrize(
    "cases",
    [
        [buyer(90)],
        [other(10)],
        [other(90, hold="language")],
        [buyer(0), buyer(0)],
        [other(100), other(100)],
        [case(NOT_BUYING, 50)],
        [buyer(100, sample="a"), other(100, sample="b")],
    ],
)
def test_a_file_that_tells_little_gives_nothing_where_nothing_can_be_told(cases):
    figures = figures_of(*cases)
    assert "NaN" not in json.dumps(figures)
    assert table(figures)


def test_without_buyers_there_is_no_recall():
    figures = figures_of(other(90), other(10))
    assert figures["average_precision"] is None
    assert figures["flagged_at_review_min_score"]["recall"] is None
    assert figures["flagged_at_review_min_score"]["precision"] == 0.0
    assert figures["intervals"]["average_precision"] is None
    assert figures["precision_at_recall_60"] == {"precision": None, "from_score": None}


def test_no_example_at_all_is_an_error():
    with pytest.raises(ValueError, match="there is no example"):
        evaluate([], [], 60)


def test_the_table_shows_figures_intervals_and_slices(mixed):
    shown = table(mixed)
    for part in ("accuracy", "flagged from 60 on: F1", "0.74 (", "enriched", "(optimistic)"):
        assert part in shown


def test_the_table_cannot_steer_the_terminal():
    assert "\x1b" not in table(figures_of(buyer(90, sample="\x1b[2Jgone")))
