"""The committed model, with the real encoder."""

import hashlib
import subprocess
import sys

import pytest

from intents.classifier import HEAD_PATH, LABELS, Classifier, Head, load_classifier


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier()


@pytest.mark.parametrize(
    "text",
    [
        "how much is this and where can I order?",
        "What's the price, and do you ship to Ireland?",
        "link please 😍",
        "I want to buy two of these, are they in stock?",
        "no idea where I can buy this, please help",
        "PRICE??",
    ],
)
def test_a_clear_buyer_is_an_immediate_one(classifier: Classifier, text: str):
    prediction = classifier.predict([text])[0]
    assert prediction.label == "purchase_intent"
    assert prediction.score >= 80


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
        "what is it made of?",
        "good morning from Lisbon",
    ],
)
def test_who_does_not_buy_is_not_flagged(classifier: Classifier, text: str):
    assert classifier.predict([text])[0].score < 40


def test_predictions_are_in_order_and_in_range(classifier: Classifier):
    predictions = classifier.predict(["lovely colours ❤️", "how much?", "worst service ever"])
    assert [p.label for p in predictions] == ["praise", "purchase_intent", "complaint"]
    assert all(p.label in LABELS and 0 <= p.score <= 100 for p in predictions)
    assert all(1 / len(LABELS) <= p.confidence <= 1 for p in predictions)
    assert all(type(p.score) is int and type(p.confidence) is float for p in predictions)


def test_a_prediction_does_not_depend_on_its_neighbours(classifier: Classifier):
    texts = [
        "price?",
        "I need this in my life, where did you find it",
        "The seat is hard and the engine is loud. " * 20,
        "👍",
        "цена?",
        *(f"comment number {i} says hello" for i in range(20)),
    ]
    together = classifier.predict(texts)
    alone = [classifier.predict([text])[0] for text in texts]
    assert [p.label for p in together] == [p.label for p in alone]
    assert [p.confidence for p in together] == pytest.approx(
        [p.confidence for p in alone], abs=1e-4
    )
    assert [p.score for p in together] == pytest.approx([p.score for p in alone], abs=1)


def test_no_comments_give_no_predictions(classifier: Classifier):
    assert classifier.predict([]) == []


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
def test_any_text_has_a_prediction(classifier: Classifier, text: str):
    assert classifier.predict([text])[0].label in LABELS


def test_the_version_names_the_head(classifier: Classifier):
    digest = hashlib.sha256(HEAD_PATH.read_bytes()).hexdigest()
    assert classifier.version == f"minilm-lr-{digest[:8]}"


def test_a_process_has_one_classifier(classifier: Classifier):
    assert load_classifier() is classifier


def test_a_head_for_other_labels_is_refused():
    content = HEAD_PATH.read_text().replace('"praise"', '"applause"')
    with pytest.raises(ValueError, match="train it again"):
        Head.loads(content)


def test_importing_the_classifier_does_not_import_torch():
    code = "import intents.classifier, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
