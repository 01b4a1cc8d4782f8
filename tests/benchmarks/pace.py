"""How well an account's hour is used: the product's outbox by a virtual clock, no network.

The rows and the database are real, the platform is a function. An hour passes in seconds, so that
a day's burst can be watched.
"""

import random
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from unittest import mock

import time_machine
from django.utils import timezone

from dmtrigger import outbox, pacing
from dmtrigger.models import Account, Campaign, DirectMessage
from dmtrigger.retry import Kind, Outcome, Usage
from dmtrigger.senders.contract import Delivery
from dmtrigger.senders.fake_platform import SENDER
from tests.benchmarks.bench import WrongAnswerError

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SWEEP = timedelta(seconds=15)  # beat's
CALL = timedelta(milliseconds=200)  # what a platform takes to answer
SEED = 1
CHUNK = 1_000


@dataclass
class Platform:
    """Notes when each message came, and says how much of its limit is used."""

    clock: time_machine.Traveller
    came: list[tuple[datetime, str]] = field(default_factory=list)
    usage: Usage | None = None

    def send(self, delivery: Delivery) -> Outcome:
        self.clock.shift(CALL)
        self.came.append((timezone.now(), delivery.comment_id))
        return Outcome(Kind.SENT, message_id="m", usage=self.usage)

    @property
    def moments(self) -> list[datetime]:
        return [at for at, _comment in self.came]


@dataclass(frozen=True)
class Burst:
    """What came of many messages that were approved at once."""

    most_in_an_hour: int
    """In the hour that has most, wherever it begins."""
    share_used_percent: float
    """Of the limit, in all full hours while there was work."""
    share_used_worst_hour_percent: float
    out_of_order: int
    """Messages that left although one that expires sooner waited."""
    hours: float


@dataclass(frozen=True)
class SlowDown:
    """What came of the platform's own word."""

    at_85_percent_shortest_gap_s: float
    """Between two messages; an even pace is an hour by the limit."""
    at_96_percent_pause_minutes: float


def burst(count: int, limit: int) -> Burst:
    """`count` messages at once, on an account that may send `limit` an hour."""
    with _virtual_time() as platform:
        order = _waiting(count, limit)
        while len(platform.came) < count:
            _deliver_all()
            _until_the_next_look(platform)
            if timezone.now() - START > (count / limit + 3) * HOUR:
                raise WrongAnswerError(f"only {len(platform.came)} of {count} left in time")
        moments = platform.moments
        full = max(1, int((moments[-1] - START) / HOUR))
        by_hour = [_between(moments, START + n * HOUR, START + (n + 1) * HOUR) for n in range(full)]
        return Burst(
            most_in_an_hour=most_in_an_hour(moments),
            share_used_percent=100 * sum(by_hour) / (full * limit),
            share_used_worst_hour_percent=100 * min(by_hour) / limit,
            out_of_order=sum(
                ours != theirs for ours, (_at, theirs) in zip(order, platform.came, strict=True)
            ),
            hours=(moments[-1] - START) / HOUR,
        )


def slow_down(limit: int) -> SlowDown:
    """The platform says for two hours that 85 % are used, then 96 %, and for how long to wait."""
    with _virtual_time() as platform:
        _waiting(3 * limit, limit)
        platform.usage = Usage(85.0)
        _run(platform, 2)
        moments = platform.moments[2:]  # the first says 85 %, the second has its slot already
        gaps = [(later - sooner).total_seconds() for sooner, later in pairwise(moments)]
        platform.usage = Usage(96.0, timedelta(minutes=30))
        count = len(platform.came)
        _run(platform, 1.5)
        after = platform.moments[count:]
        return SlowDown(min(gaps), (after[1] - after[0]) / timedelta(minutes=1))


def most_in_an_hour(moments: list[datetime]) -> int:
    """In the hour that has most, wherever it begins; its end is not of it."""
    return max(bisect_left(moments, at + HOUR) - place for place, at in enumerate(moments))


@contextmanager
def _virtual_time() -> Iterator[Platform]:
    with time_machine.travel(START, tick=False) as clock:
        platform = Platform(clock)
        sender = SENDER._replace(send=platform.send)
        with mock.patch.object(outbox, "senders", return_value={sender.name: sender}):
            yield platform


def _run(platform: Platform, hours: float) -> None:
    end = timezone.now() + hours * HOUR
    while timezone.now() < end:
        _deliver_all()
        _until_the_next_look(platform)


def _until_the_next_look(platform: Platform) -> None:
    """A worker looks when an account's next slot is free, and at each of beat's sweeps."""
    moment = pacing.next_slot_at()
    platform.clock.shift(min(SWEEP, moment - timezone.now()) if moment else SWEEP)


def _deliver_all() -> None:
    while outbox.deliver_next() is not None:
        pass


def _between(moments: list[datetime], begin: datetime, end: datetime) -> int:
    return bisect_left(moments, end) - bisect_left(moments, begin)


def _waiting(count: int, limit: int) -> list[str]:
    """Messages that are due, stored in any order; their comments in the order of expiry."""
    DirectMessage.objects.all().delete()
    account, _ = Account.objects.update_or_create(
        source=SENDER.name,
        name="pace",
        defaults={
            "hourly_limit": limit,
            "next_slot_at": None,
            "paused_until": None,
            "usage_at": None,
        },
    )
    campaign, _ = Campaign.objects.get_or_create(name="pace", link="https://shop.example/")
    places = random.Random(SEED).sample(range(count), count)  # noqa: S311 - to be reproducible
    DirectMessage.objects.bulk_create(
        (
            DirectMessage(
                comment_id=number + 1,
                external_id=f"c{place}",
                source=SENDER.name,
                post_id="p1",
                posted_at=START,
                account=account,
                campaign=campaign,
                sender=SENDER.name,
                recipient=f"buyer {number}",
                text="Hi",
                next_attempt_at=START,
                expires_at=START + timedelta(days=6, seconds=place),
            )
            for number, place in enumerate(places)
        ),
        CHUNK,
    )
    return [f"c{place}" for place in range(count)]
