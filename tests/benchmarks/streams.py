"""Streams of comments to analyse: real ones from a file, and short ones as under a shop's posts."""

import csv
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from intents.classifier import DATA_DIR
from threadsagent.embedded import StartError

SEED = 1
REPEATS = 0.25  # share of the short comments that somebody has written before
REPEATED_WORDS = 5  # hardly anybody writes the words of a longer one again
UNSEEN = "evaluation.csv"  # no model is trained on it
SEEN = "comments/shop_short.csv"
POSTED = "2026-11-01T12:00:00Z"

# What people put around what they say. They make thousands of comments of the few that there are.
BEFORE = """
    omg|hey|hi|ok|wow|@friend|girl|guys|lol|yesss|hello|so|um|🔥|❤️|honestly|ok so|wait|@mia @jo
""".strip().split("|")
AFTER = """
    😍|🔥🔥|please|pls|thanks|❤️|lol|🙏|tysm|!!|haha|😂|guys|@friend|fr|tho|xx|💕|asap|🥺
""".strip().split("|")


@dataclass(frozen=True, eq=False)
class Stream:
    """Comments in the order in which they come."""

    name: str
    comments: list[dict[str, str]]
    """Items of `comments.ingest`, each with its post."""

    @property
    def texts(self) -> list[str]:
        """What they say."""
        return [comment["text"] for comment in self.comments]


def real(path: Path, count: int) -> Stream:
    """The first comments of a file: JSON lines with id, post_id, text, author, timestamp.

    Raises StartError.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            comments = [json.loads(line) for line in islice(lines, count)]
    except (OSError, ValueError) as error:
        raise StartError(f"--real {path}: {error}") from error
    if len(comments) < count:
        raise StartError(f"--real {path}: it has {len(comments)} comments, {count} are needed")
    return Stream("real", comments)


def short(count: int) -> Stream:
    """Comments of about 7 words, a quarter of them repeats of shorter ones."""
    return _stream("short", _with_repeats([*_texts(UNSEEN), *_texts(SEEN)], count))


def short_unseen(count: int) -> Stream:
    """The same of nothing that a model is trained on: fewer comments, in more variations."""
    return _stream("short_unseen", _with_repeats(_texts(UNSEEN), count))


def _texts(name: str) -> list[str]:
    with (DATA_DIR / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows if name == SEEN or row["slice"] == "brand_short"]


def _with_repeats(texts: list[str], count: int) -> list[str]:
    """New comments, and now and then a short one that was there before.

    A comment that was repeated is the likelier to be repeated again, which makes the numbers of
    repeats follow Zipf's law, as those of real ones do (Simon 1955).
    """
    rng = random.Random(SEED)  # noqa: S311 - to be reproducible, not secret
    new = _variations(texts, rng)
    stream: list[str] = []
    repeatable: list[str] = []
    while len(stream) < count:
        repeat = bool(repeatable) and rng.random() < REPEATS
        text = rng.choice(repeatable) if repeat else next(new)
        stream.append(text)
        if len(text.split()) <= REPEATED_WORDS:
            repeatable.append(text)
    return stream


def _variations(texts: list[str], rng: random.Random) -> Iterator[str]:
    """Comments of which no two are alike: the texts themselves among the first, then with
    something before or after them, without an end but that of the combinations."""
    told = set(texts)
    yield from rng.sample(texts, len(texts))
    while True:
        text = rng.choice(texts)
        varied = rng.choice(
            (
                f"{rng.choice(BEFORE)} {text}",
                f"{text} {rng.choice(AFTER)}",
                f"{rng.choice(BEFORE)} {text} {rng.choice(AFTER)}",
            )
        )
        if varied not in told:
            told.add(varied)
            yield varied


def _stream(name: str, texts: list[str]) -> Stream:
    return Stream(
        name,
        [
            {
                "id": f"{name}_{n}",
                "post_id": f"post_{n % 20}",
                "text": text,
                "author": f"user_{n}",
                "timestamp": POSTED,
            }
            for n, text in enumerate(texts)
        ],
    )
