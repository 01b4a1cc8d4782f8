"""The tone of a comment, and the brand in it."""

import time

import pytest

from intents.extras import mentions_brand, sentiment


@pytest.mark.parametrize(
    ("text", "tone"),
    [
        ("I love it, it is great!", "positive"),
        ("😍😍😍", "positive"),
        ("Awful. It broke and nobody answers.", "negative"),
        ("How much is it?", "neutral"),
        ("", "neutral"),
        ("\x00 \ud800", "neutral"),
    ],
)
def test_the_tone_of_a_text(text, tone):
    assert sentiment(text) == tone


def test_the_tone_of_a_long_text_is_that_of_its_beginning():
    assert sentiment("I love it. " + "ha " * 400 + "awful " * 1_000) == "positive"


@pytest.mark.parametrize("text", ["😍" * 10_000, "love but " * 10_000, "bad a b c " * 10_000])
def test_a_huge_text_costs_little(text):
    sentiment("")  # reads the lexicon
    started = time.perf_counter()
    sentiment(text)
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    ("text", "mentioned"),
    [
        ("I want an Acme", True),
        ("ACME's best", True),
        ("@acme how much?", True),
        ("#acme", True),
        ("acmes are great", False),
        ("@acme_fan says", False),
        ("what a pacme", False),
        ("my c+r board", True),
        ("my cccr board", False),
        ("nothing", False),
    ],
)
def test_a_brand_is_a_word_of_its_own_in_any_case_or_a_handle(text, mentioned):
    assert mentions_brand(text, ["Acme", "C+R"]) is mentioned


def test_a_handle_in_the_setting_is_found_without_its_sign_too():
    assert mentions_brand("acme!", ["@Acme"])


@pytest.mark.parametrize("names", [[], [""], [" ", "@"]])
def test_without_a_name_nothing_is_mentioned(names):
    assert not mentions_brand("acme", names)
