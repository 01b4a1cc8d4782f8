"""Comments as a platform has them: made up, and but for their dates the same at every run."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

FIRST_ID = 17_900_000_000_000_000  # Instagram's ids have 17 digits and grow
LARGEST_STEP = 1_000_000  # other people's comments lie between
HANDLES = 200_000
POSTS = 500
POSTED_WITHIN = timedelta(days=3)
TEXTS = 20_000
VOCABULARY = """
    love this so much where can i buy it how much is the shipping to anyone know if they have
    size in stock please need one for my sister birthday best color ever quality looks great
    price link does come blue green black and what about returns ordered last week still
    waiting amazing work team obsessed want now take money is available europe restock when
    größe schön wunderbar où acheter combien ça coûte cuánto cuesta dónde está preço
    すごい かわいい 欲しい где купить сколько стоит 😍 🔥 ❤️ 👏 🙌 😭 💯 🛒 ✨ !!! ??? @friend
    #musthave
"""

Comment = dict[str, str]  # id, text, author, timestamp: an item of `POST /comments/process`


@dataclass(frozen=True)
class Batch:
    """The comments of one call, and how many of them are new."""

    post_id: str
    comments: list[Comment]
    new: int

    @property
    def body(self) -> bytes:
        """The call's body."""
        return msgspec.json.encode({"post_id": self.post_id, "comments": self.comments})


class Platform:
    """Where comments come from, each with a higher id than the one before."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - to be reproducible, not secret
        self._next_id = FIRST_ID
        self._words = VOCABULARY.split()
        self._now = datetime.now(UTC)
        self._texts = [self._text() for _ in range(TEXTS)]

    def new(self, count: int) -> list[Comment]:
        """Comments that nobody has seen."""
        return [
            {
                "id": str(self._id()),
                "text": self.random.choice(self._texts),
                "author": f"user.{self.random.randrange(HANDLES)}",
                "timestamp": self._timestamp(),
            }
            for _ in range(count)
        ]

    def reserve(self, count: int) -> int:
        """The first of `count` ids, `LARGEST_STEP` apart, that are given to no comment of `new`."""
        first = self._next_id
        self._next_id += (count + 1) * LARGEST_STEP
        return first

    def all_new(self, size: int) -> Batch:
        """A batch without duplicates."""
        return Batch(self._post(), self.new(size), size)

    def mixed(self, size: int, stored: Sequence[Comment]) -> Batch:
        """A batch, a third of it duplicates: half of those of others in it, half of `stored`."""
        duplicates = size // 3
        new = self.new(size - duplicates)
        again = self.random.choices(new, k=duplicates // 2)
        again += self.random.sample(stored, duplicates - len(again))
        return Batch(self._post(), self._scattered(new, again), len(new))

    def _scattered(self, new: list[Comment], again: list[Comment]) -> list[Comment]:
        """The new ones in the order of their ids, as platforms give them, the others anywhere."""
        places = [*range(len(new)), *(self.random.uniform(0, len(new)) for _ in again)]
        pairs = sorted(zip(places, [*new, *again], strict=True), key=lambda pair: pair[0])
        return [comment for _place, comment in pairs]

    def _id(self) -> int:
        self._next_id += self.random.randint(1, LARGEST_STEP)
        return self._next_id

    def _post(self) -> str:
        return str(FIRST_ID + self.random.randrange(POSTS))

    def _text(self) -> str:
        return " ".join(self.random.choices(self._words, k=self.random.randint(3, 25)))

    def _timestamp(self) -> str:
        posted = self._now - self.random.random() * POSTED_WITHIN
        return f"{posted:%Y-%m-%dT%H:%M:%S}Z"
