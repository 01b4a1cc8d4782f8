"""What every measurement uses: the running system, its clients, the comments, the figures."""

import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from tqdm import tqdm

from tests.benchmarks import usage
from tests.benchmarks.copying import Copy
from tests.benchmarks.data import Batch, Comment, Platform
from tests.benchmarks.figures import Figures, Times
from tests.benchmarks.services import Services, Web

PROCESS = "/comments/process"
LARGEST_CALL = 10_000  # comments, in what is measured at one size
NEW_IN_CALL = LARGEST_CALL - LARGEST_CALL // 3  # when a third of them are duplicates

Item = TypeVar("Item")


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    repetitions: int = 20
    slow_repetitions: int = 5  # of what takes more than ten seconds
    writer_calls: int = 200
    exact_comments: int = 1_000_000
    exact_universe: int = 400_000
    small_table: int = 100_000
    large_table: int = 5_000_000
    retired_comments: int = 2_000_000
    retirements: int = 3
    fresh_workers: int = 5


# For working on the measurements themselves: the figures have the same names and say little.
QUICK = Scale(3, 1, 24, 100_000, 40_000, 50_000, 500_000, 200_000, 1, 2)


class WrongAnswerError(RuntimeError):
    """A call did not do what was to be measured."""


@dataclass
class Bench:
    """The running system and what is known of it."""

    services: Services
    web: Web
    api: httpx.Client
    spec_api: httpx.Client
    copy: Copy
    source: str
    scale: Scale
    platform: Platform = field(default_factory=lambda: Platform(seed=1))
    figures: Figures = field(default_factory=Figures)

    def process(self, batch: Batch, times: Times | None = None, *, new: int | None = None) -> None:
        """`POST /comments/process`; `new` of the batch must be stored, by default its new ones."""
        send(self.api, batch, batch.new if new is None else new, times)

    def stored(self, count: int) -> list[Comment]:
        """Comments that an earlier call has stored: in the tables and in Redis."""
        comments: list[Comment] = []
        while len(comments) < count:
            batch = self.platform.all_new(min(LARGEST_CALL, count - len(comments)))
            self.process(batch)
            comments += batch.comments
        return comments

    def memory(self, field: str) -> float:
        """VmRSS or VmHWM of the worker, in MB."""
        return usage.memory(self.web.worker, field)


def send(
    api: httpx.Client, batch: Batch, new: int, times: Times | None = None, path: str = PROCESS
) -> None:
    """One call; the body is made before the clock starts."""
    body = batch.body
    with (times or Times()).clock():
        answer = api.post(path, content=body)
    check(answer, new)


def check(answer: httpx.Response, new: int) -> None:
    """Raises WrongAnswerError unless the call stored so many."""
    found: dict[str, Any] = answer.json() if answer.is_success else {}
    if found.get("stored_count") != new:
        raise WrongAnswerError(f"{new} expected: {answer.status_code} {answer.text[:500]}")


def progress(items: Collection[Item], what: str) -> Iterator[Item]:
    """The items, with a bar on standard error."""
    yield from tqdm(items, desc=f"{what:<28}", file=sys.stderr, mininterval=0.5)
