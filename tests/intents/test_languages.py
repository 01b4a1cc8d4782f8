"""Which language a comment is in, as far as it decides whether the model may answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intents.classifier import normalise
from intents.languages import language_of, other_script


@pytest.mark.parametrize(
    "text",
    [
        "how much?",
        "How much!!",
        "how much is it?",
        "price?",
        "link pls",
        "need this",
        "where can i buy this in the uk",
        "PRICE?? ❤❤❤",
        "@anna how much is the blue one 😍",
        "I'll take two, do you ship to Norway?",
    ],
)
def test_plain_english_is_english(text: str):
    assert language_of(normalise(text)) == "en"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("¿Cuánto cuesta y dónde lo puedo comprar?", "es"),
        ("Onde posso comprar isso? Quanto custa o frete?", "pt"),
        ("Berapa harganya dan bisa dikirim ke Surabaya?", "id"),
        ("Wo kann ich das kaufen und was kostet es?", "de"),
        ("C'est combien et où est-ce que je peux l'acheter ?", "fr"),
        ("Сколько это стоит и где купить?", "ru"),
        ("كم السعر وهل يوجد توصيل؟", "ar"),
        ("いくらですか、どこで買えますか", "ja"),
        ("这个多少钱，在哪里可以买到", "zh"),
        ("यह कितने का है और कहाँ मिलेगा", "hi"),
    ],
)
def test_another_language_is_named(text: str, language: str):
    assert language_of(normalise(text)) == language


@pytest.mark.parametrize(
    "text",
    [
        "bhai iska price kya hai, delivery patna me hoga?",
        "kya baat hai bro, link dena please jaldi",
    ],
)
def test_another_language_with_english_words_in_it_is_not_taken_for_english(text: str):
    assert language_of(normalise(text)) not in ("en", "")


@pytest.mark.parametrize("text", ["", " ", "12.50 €", "!?!?", "1️⃣"])
def test_where_there_are_no_letters_there_is_no_language(text: str):
    assert language_of(text) == ""


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("how much is it", False),
        ("où est le café à São João?", False),
        ("price in £ or €? 😍😍😍", False),
        ("", False),
        ("цена?", True),
        ("price цена", True),
        ("hello i would like to have the one that says мир", False),
        ("السعر", True),
    ],
)
def test_another_script_is_much_of_the_letters(text: str, other: bool):
    assert other_script(text) is other


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_an_answer_that_fits_its_column(text: str):
    assert len(language_of(normalise(text))) <= 3
