"""Training: what it needs, what it makes, and that it makes the same again."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intents import training
from intents.classifier import BUYING, DATA_DIR, LABELS, MODEL_DIR, Classifier, read_card, softmax
from intents.labelled import DataError, Example, read, read_sample, same
from tests.intents import tiny_model


def probabilities(*buying: float) -> np.ndarray:
    """Rows with that probability of purchase intent, and the rest praise."""
    rows = np.zeros((len(buying), len(LABELS)), np.float32)
    rows[:, BUYING] = buying
    rows[:, LABELS.index("praise")] = 1 - rows[:, BUYING]
    return rows


# The committed files ----------------------------------------------------------------------------


def test_the_shipped_model_was_trained_on_the_committed_comments():
    committed = {same(e.text) for f in training.COMMENTS_DIR.glob("*.csv") for e in read(f)}
    shown = json.loads((MODEL_DIR / "examples.json").read_bytes())
    assert {same(text) for text, _ in shown} <= committed
    assert len(shown) == training.EXAMPLES_KEPT
    assert read_card(MODEL_DIR)["data"]["examples"] > 0.9 * len(committed)


def test_no_comment_that_the_model_is_measured_with_was_learnt():
    learnt = json.loads((MODEL_DIR / "examples.json").read_bytes())
    measured = {same(e.text) for e in read_sample(DATA_DIR / "evaluation.csv")}
    assert not measured & {same(text) for text, _ in learnt}


# The model --------------------------------------------------------------------------------------


def test_a_trained_model_answers_with_its_own_version(tiny_folder):
    model = Classifier.load(tiny_folder)
    card = read_card(tiny_folder)
    assert model.version == card["version"]
    assert card["settings"]["layers"] == [0]
    assert sum(card["data"]["labels"].values()) == card["data"]["examples"]


def test_the_same_comments_give_the_same_model(tiny_folder, tmp_path):
    tiny_model.train(tmp_path)
    for name in ("encoder.onnx", "examples.json"):
        assert (tmp_path / name).read_bytes() == (tiny_folder / name).read_bytes()
    assert read_card(tmp_path)["thresholds"] == read_card(tiny_folder)["thresholds"]


def test_too_few_comments_of_a_label_are_refused(tmp_path):
    few = [e for e in tiny_model.EXAMPLES if e.label != "spam"]
    with pytest.raises(DataError, match="0 comments labelled spam: at least 5 are needed"):
        tiny_model.train(tmp_path / "model", few)
    assert not (tmp_path / "model").exists()


# Thresholds -------------------------------------------------------------------------------------


def test_the_first_stage_answers_what_it_sees_as_the_encoder_does():
    thresholds = training.choose_thresholds(
        probabilities(*[0.01] * 99), probabilities(*[0.01] * 99)
    )
    assert thresholds["dismiss_below"] > 0.01
    assert thresholds["sure_from"] <= 0.99


def test_it_answers_nothing_where_it_would_lose_a_buyer():
    thresholds = training.choose_thresholds(probabilities(0.01), probabilities(0.9))
    assert thresholds == {"dismiss_below": 0.0, "sure_from": 1.0}


def test_it_answers_nothing_where_it_disagrees_about_the_labels():
    complaints = probabilities(*[0.01] * 9)[:, [BUYING, 3, 1, 2, 4, 5]]
    thresholds = training.choose_thresholds(probabilities(*[0.01] * 9), complaints)
    assert thresholds == {"dismiss_below": 0.0, "sure_from": 1.0}


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_chosen_thresholds_keep_their_promises(seed: int):
    chance = np.random.default_rng(seed)
    cheap = chance.dirichlet(np.full(len(LABELS), 0.3), 200).astype(np.float32)
    strong = ((cheap + chance.dirichlet(np.full(len(LABELS), 0.1), 200)) / 2).astype(np.float32)
    thresholds = training.choose_thresholds(cheap, strong)
    answered = (cheap[:, BUYING] < thresholds["dismiss_below"]) & (
        cheap.max(axis=1) >= thresholds["sure_from"]
    )
    flagged = strong[:, BUYING] >= training.FLAGGED_FROM
    assert (answered & flagged).sum() <= training.LOSS * flagged.sum()
    if answered.any():
        same_label = cheap.argmax(axis=1) == strong.argmax(axis=1)
        assert same_label[answered].mean() >= training.AGREEMENT


# Two in one -------------------------------------------------------------------------------------


def joined(*examples: Example) -> set[tuple[str, str]]:
    """What is learnt of these comments two in one, without what stands between them."""
    chance = random.Random(0)  # noqa: S311
    return {
        (example.label, "order" if "order" in example.text else "")
        for _ in range(50)
        for example in training._joined(examples, 1.0, chance)
    }


BUYS = Example("i'll order it", "purchase_intent", {})
LIKES = Example("so pretty", "praise", {})
GREETS = Example("good morning all", "other", {})


def test_whoever_wants_to_buy_among_other_things_wants_to_buy():
    assert joined(BUYS, LIKES, GREETS) == {
        ("purchase_intent", "order"),
        ("praise", ""),
        ("other", ""),
    }


@pytest.mark.parametrize(
    "example",
    [
        Example("dm us to order", "spam", {}),
        Example("would never order it", "complaint", {"slice": "refuses"}),
        Example("order " * 40, "purchase_intent", {}),
    ],
)
def test_what_could_contradict_and_what_is_long_is_joined_with_nothing(example):
    assert joined(example, LIKES) == {("praise", "")}


def test_no_comment_is_joined_where_none_should_be():
    chance = random.Random(0)  # noqa: S311
    assert not list(training._joined([BUYS, LIKES], 0.0, chance))


def test_scores_are_calibrated_for_how_often_the_labels_are_met():
    seen = [Example("x", label, {}) for label in LABELS for _ in range(10)]
    shares = (0.1, 0.1, 0.2, 0.2, 0.1, 0.3)
    even = np.zeros((1, len(LABELS)), np.float32)
    shifted = softmax(even + training._shift(seen, shares))
    assert shifted[0] == pytest.approx(shares)


def test_the_settings_have_a_share_for_each_label():
    shares = training.Settings().shares
    assert len(shares) == len(LABELS)
    assert sum(shares) == pytest.approx(1)


# Texts ------------------------------------------------------------------------------------------


def test_some_texts_are_learnt_without_marks():
    chance = random.Random(0)  # noqa: S311
    typed = {training._as_typed("don't wait, @user! how much?", chance) for _ in range(99)}
    assert typed == {
        "don't wait, @user! how much?",
        "don t wait @user how much",
        "dont wait @user how much",
    }


@given(st.text(max_size=40), st.integers())
def test_no_text_is_emptied(text: str, seed: int):
    chance = random.Random(seed)  # noqa: S311
    assert bool(training._as_typed(text, chance)) == bool(text)
