"""A model's answers: the shipped model's on plain comments, a tiny one's in every other respect."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intents.classifier import (
    EXPLAINED_FROM,
    FAILED_HOLD,
    HELD_AT_MOST,
    LABELS,
    LANGUAGE_HOLD,
    Classifier,
    FirstStage,
    Weights,
    load_classifier,
    load_simple_classifier,
    normalise,
    read_card,
)
from tests.intents import tiny_model


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return load_classifier()


# The shipped model ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "how much is this and where can I order?",
        "What's the price, and do you ship to Ireland?",
        "link please 😍",
        "I want to buy two of these, are they in stock?",
        "PRICE??",
    ],
)
def test_a_clear_buyer_is_flagged(shipped: Classifier, text: str):
    [prediction] = shipped.predict([text])
    assert prediction.label == "purchase_intent"
    assert prediction.score >= 60
    assert not prediction.hold


@pytest.mark.parametrize(
    "text",
    [
        "I bought mine last year and I love it",
        "I don't want this",
        "not interested",
        "Where is my order? I paid three weeks ago",
        "I want a refund, it broke after two days",
        "We sell all brands at wholesale price, whatsapp us to order",
        "way too expensive, what a joke",
        "never buying from this company again",
        "beautiful photo 😍",
        "first",
        "@anna",
        "lol",
        "good morning from Lisbon",
    ],
)
def test_who_does_not_buy_is_not_flagged(shipped: Classifier, text: str):
    assert shipped.predict([text])[0].score < 40


@pytest.mark.parametrize(
    "text", ["¿cuánto cuesta?", "сколько стоит?", "berapa harganya kak", "多少钱"]
)
def test_a_buyer_in_another_language_is_never_for_an_automatic_message(shipped, text: str):
    [prediction] = shipped.predict([text])
    assert prediction.score <= HELD_AT_MOST


def test_a_mention_is_one_word_with_its_dots():
    assert normalise("@Ski.Sigrid: thanks @wet_willem.") == "@user: thanks @user."


def test_the_shipped_models_card_tells_how_good_it_is(shipped: Classifier):
    assert shipped.card["metrics"]["average_precision"] > 0.8


# Answers ----------------------------------------------------------------------------------------


def test_predictions_are_in_order_and_in_range(shipped: Classifier):
    predictions = shipped.predict(["lovely colours ❤️", "how much?", "worst service ever"])
    assert [p.label for p in predictions] == ["praise", "purchase_intent", "complaint"]
    assert all(p.label in LABELS and 0 <= p.score <= 100 for p in predictions)
    assert all(1 / len(LABELS) <= p.confidence <= 1 for p in predictions)
    assert all(type(p.score) is int and type(p.confidence) is float for p in predictions)


@settings(deadline=None)
@given(st.lists(st.text(max_size=80), max_size=8))
def test_a_prediction_does_not_depend_on_its_neighbours(eager: Classifier, texts: list[str]):
    assert eager.predict(texts) == [eager.predict([text])[0] for text in texts]


def test_no_comments_give_no_predictions(tiny: Classifier):
    assert tiny.predict([]) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "😍" * 10_000,
        "a" * 10_000,
        "price? " * 1_400,
        "ﷺ" * 10_000,  # NFKC makes eighteen characters of each
        "كم السعر؟ \u202eabc\u202c \u200f",
        "e" + "\u0301" * 5_000,
        "👩‍👩‍👧‍👦 \x00 \x1b[31m \ufeff \uffff \U0010ffff",
        "\ud83d half of an emoji",
        "@ @@ @anna http:// www. [MASK] [SEP] <s> {}%s",
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_any_text_has_a_prediction(eager: Classifier, text: str):
    assert eager.predict([text])[0].label in LABELS


def test_what_the_first_stage_is_sure_of_does_not_reach_the_encoder(tiny_folder, tmp_path):
    sure = {"dismiss_below": 1.0, "sure_from": 0.0}
    model = Classifier.load(tiny_model.with_card(tiny_folder, tmp_path / "m", thresholds=sure))
    model.predict(["price of this lamp please", "i love this lamp"])
    assert model.answered_by == {"first_stage": 2, "encoder": 0}


def test_without_its_first_stage_the_encoder_answers_everything(tiny_folder, tmp_path):
    sure = {"dismiss_below": 1.0, "sure_from": 0.0}
    folder = tiny_model.with_card(tiny_folder, tmp_path / "m", thresholds=sure)
    strong = Classifier.load(folder).without_first_stage()
    strong.predict(["price of this lamp please", "i love this lamp"])
    assert strong.answered_by == {"first_stage": 0, "encoder": 2}


# Evidence, languages, failures ------------------------------------------------------------------


def test_a_high_score_is_explained(eager: Classifier):
    [prediction] = eager.predict(["how much is the blue bag?"])
    assert prediction.evidence
    assert prediction.language == "en"
    assert all(word in "how much is the blue bag?" for word, _ in prediction.evidence["words"])
    text, label, likeness = prediction.evidence["nearest"][0]
    assert (text, label) == ("how much is the blue bag?", "purchase_intent")
    assert likeness == pytest.approx(1, abs=0.05)


def test_a_low_score_is_not(tiny: Classifier):
    dull = [
        p for p in tiny.predict([e.text for e in tiny_model.EXAMPLES]) if p.score < EXPLAINED_FROM
    ]
    assert dull
    assert all(p.evidence is None for p in dull)


def test_a_buyer_in_an_unknown_language_is_held(eager: Classifier):
    [prediction] = eager.predict(["wie viel kostet das und wo kann ich es kaufen?"])
    assert (prediction.hold, prediction.language) == (LANGUAGE_HOLD, "de")
    assert prediction.score == HELD_AT_MOST


def test_what_the_network_itself_takes_for_foreign_is_held(tiny_folder, tmp_path):
    bias = Weights.load(tiny_folder / "weights.npz").head_bias.copy()
    bias[0], bias[-1] = 50, 50
    model = Classifier.load(tiny_model.changed(tiny_folder, tmp_path / "m", head_bias=bias))
    assert model.predict(["how much is it?"])[0].hold == LANGUAGE_HOLD


def test_where_the_network_answers_nonsense_the_first_stage_answers_held(tiny_folder, tmp_path):
    bias = np.full(len(LABELS) + 1, np.nan, np.float32)
    model = Classifier.load(tiny_model.changed(tiny_folder, tmp_path / "m", head_bias=bias))
    model = model.without_first_stage()
    [prediction] = model.predict(["how much is it?"])
    assert prediction.hold == FAILED_HOLD
    assert prediction.label == FirstStage(tiny_folder).predict(["how much is it?"])[0].label


def test_the_first_stage_alone_is_always_held():
    predictions = load_simple_classifier().predict(["price?", "lovely"])
    assert [p.hold for p in predictions] == [FAILED_HOLD] * 2
    assert predictions[0].label == "purchase_intent"
    assert predictions[0].score <= HELD_AT_MOST


# Normalisation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("  PRICE ?? ", "price ??"),
        ("sooooooo nice", "soo nice"),
        ("hey @anna.b look https://x.example/a?b", "hey @user look http"),
        ("ｐｒｉｃｅ", "price"),
        ("want 😍", "want smiling face with heart-eyes"),
        ("don’t", "don't"),
    ],
)
def test_what_looks_alike_is_alike(text: str, same: str):
    assert normalise(text) == same


@given(st.text())
def test_a_normalised_text_is_short_and_has_an_encoding(text: str):
    assert len(normalise(text).encode()) <= 4_000


# Files ------------------------------------------------------------------------------------------


def test_a_process_has_one_classifier(shipped: Classifier):
    assert load_classifier() is shipped


def test_weights_survive_being_written_and_read(tiny_folder, tmp_path):
    weights = Weights.load(tiny_folder / "weights.npz")
    weights.save(tmp_path / "again.npz")
    again = Weights.load(tmp_path / "again.npz")
    assert (again.head == weights.head).all()
    assert np.abs(again.ngrams - weights.ngrams).max() <= np.abs(weights.ngrams).max() / 127
    assert again.temperature == weights.temperature


def test_weights_for_other_labels_are_refused(tiny_folder, tmp_path):
    head = Weights.load(tiny_folder / "weights.npz").head[1:]
    folder = tiny_model.changed(tiny_folder, tmp_path / "m", head=head)
    with pytest.raises(ValueError, match="train it again"):
        Classifier.load(folder)


def test_a_card_for_other_labels_is_refused(tiny_folder, tmp_path):
    folder = tiny_model.with_card(tiny_folder, tmp_path / "m", labels=["applause"])
    with pytest.raises(ValueError, match="train it again"):
        read_card(folder)


def test_examples_of_another_model_are_refused(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "m")
    (tmp_path / "m" / "examples.json").write_text(json.dumps([["one", "praise"]]))
    with pytest.raises(ValueError, match="different models"):
        Classifier.load(tmp_path / "m")


@pytest.mark.parametrize("name", ["card.json", "weights.npz", "encoder.onnx", "examples.json"])
def test_a_missing_file_is_an_os_error(tiny_folder, tmp_path: Path, name: str):
    shutil.copytree(tiny_folder, tmp_path / "m")
    (tmp_path / "m" / name).unlink()
    with pytest.raises(OSError, match=name):
        Classifier.load(tmp_path / "m")


@pytest.mark.parametrize("name", ["card.json", "weights.npz", "encoder.onnx", "examples.json"])
def test_a_broken_file_is_a_value_error(tiny_folder, tmp_path: Path, name: str):
    shutil.copytree(tiny_folder, tmp_path / "m")
    (tmp_path / "m" / name).write_bytes(b"\x00nonsense")
    with pytest.raises(ValueError, match="m"):
        Classifier.load(tmp_path / "m")


def test_importing_the_classifier_imports_neither_torch_nor_onnx_runtime():
    code = (
        "import intents.classifier, sys; "
        "sys.exit(bool({'torch', 'onnxruntime', 'tokenizers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
