"""What is told of a comment beside its intent: its tone, and whether it names the brand."""

import re
from collections.abc import Sequence
from functools import cache

from vaderSentiment.vaderSentiment import (  # type: ignore[import-untyped]  # it has no types
    SentimentIntensityAnalyzer,
)

from intents.models import Sentiment

MAX_CHARS = 1_000  # of a text; VADER's time grows with the square of the words
POSITIVE_FROM, NEGATIVE_TO = 0.05, -0.05  # of VADER's compound score, as its authors advise


def sentiment(text: str) -> Sentiment:
    """The tone of an English text, by VADER's lexicon; of a long one, that of its beginning."""
    vader = _vader()
    # VADER takes an emoji for the words that describe it. They are put in here, so that a text
    # of nothing but emojis is cut as well.
    emojis = vader.emojis
    words = "".join(f" {emojis[c]} " if c in emojis else c for c in text[:MAX_CHARS])
    compound: float = vader.polarity_scores(words[:MAX_CHARS])["compound"]
    if compound >= POSITIVE_FROM:
        return Sentiment.POSITIVE
    return Sentiment.NEGATIVE if compound <= NEGATIVE_TO else Sentiment.NEUTRAL


def mentions_brand(text: str, names: Sequence[str]) -> bool:
    """Whether a text has one of the names as a word of its own, in any case, or as `@name`."""
    pattern = _pattern(tuple(names))
    return pattern is not None and pattern.search(text) is not None


@cache
def _vader() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str] | None:
    words = "|".join(re.escape(word) for name in names if (word := name.strip().lstrip("@")))
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if words else None
