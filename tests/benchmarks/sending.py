"""How soon a message is in the platform's ledger: after an approval, after a comment's arrival."""

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from unittest import mock

import httpx
import msgspec
from django.conf import settings
from django.db import connection

from comments.models import Comment
from comments.wakeup import wake
from dmtrigger import triggers
from dmtrigger.models import DirectMessage
from dmtrigger.states import State
from dmtrigger.tasks import deliver_direct_messages
from intents import reviews
from intents.models import Review
from tests.benchmarks import buyers, usage
from tests.benchmarks.bench import PROCESS, WrongAnswerError, check
from tests.benchmarks.figures import Times
from tests.benchmarks.services import Web, Worker

LOOK_SECONDS = 0.2
LONGEST_SECONDS = 180  # from the last approval or comment to the last message
POLL_SECONDS = 1.0  # of the baseline that nothing wakes
CALLS_A_SECOND = 10  # of `POST /comments/process`
CONNECTIONS = 4
OPERATORS = 4  # approve at once, as the threads of a web process do

Item = TypeVar("Item")
Approve = Callable[[Review], None]


@dataclass
class Sent:
    """The seconds that messages took, and what else there was to see."""

    times: Times = field(default_factory=Times)
    sender_cpu_s: float = 0.0
    drained_s: float = 0.0
    """From the last approval or comment until the last message was seen in the ledger."""
    late_s: float = 0.0
    """How long after it was due an approval or a call has begun, at worst: we could not keep up."""


def approve(
    approach: str, chosen: Sequence[Review], rate: float, data: Path, sender: Worker, sent: Sent
) -> None:
    """Approve so many reviews a second, in the way of one of APPROACHES."""
    gc.collect()
    cpu = usage.cpu_seconds(sender.pid)
    starts: dict[str, datetime] = {}
    with APPROACHES[approach]() as approve_one:

        def approve_next(review: Review) -> None:
            starts[review.intent.comment.external_id] = datetime.now(UTC)
            approve_one(review)

        _in_threads(_in_time(chosen, rate, sent), approve_next, OPERATORS)
        _wait_for_ledger(data, starts, sent)
    sent.sender_cpu_s += usage.cpu_seconds(sender.pid) - cpu


@contextlib.contextmanager
def _as_it_is() -> Iterator[Approve]:
    yield _decide


@contextlib.contextmanager
def _polled() -> Iterator[Approve]:
    """Approvals wake nobody; the outbox is looked at once a second, as a poller would."""
    done = threading.Event()

    def poll() -> None:
        while not done.wait(POLL_SECONDS):
            wake(deliver_direct_messages)

    poller = threading.Thread(target=poll, name="poller")
    with mock.patch.object(triggers, "wake_unless_woken"):
        poller.start()
        try:
            yield _decide
        finally:
            done.set()
            poller.join()


@contextlib.contextmanager
def _direct() -> Iterator[Approve]:
    """The request alone, by who approves: nothing is stored, and nobody would know of it."""
    token = {"Authorization": f"Bearer {settings.FAKE_PLATFORM_TOKEN}"}
    url = settings.FAKE_PLATFORM_URL
    with httpx.Client(base_url=url, headers=token, trust_env=False) as client:

        def send(review: Review) -> None:
            body = {
                "recipient": {"comment_id": review.intent.comment.external_id},
                "message": {"text": "Hi: https://shop.example/backpack (automated)"},
            }
            account = {"account": review.intent.comment.account}
            client.post("/messages", params=account, json=body).raise_for_status()

        yield send


APPROACHES = {"approve": _as_it_is, "polled": _polled, "direct": _direct}


def _decide(review: Review) -> None:
    reviews.decide(review.pk, Review.Status.APPROVED, rule="benchmark")


@dataclass(frozen=True)
class Arrival:
    """The processes that comments pass through."""

    web: Web
    token: str
    analysis: Worker
    sender: Worker

    @property
    def parents(self) -> list[int]:
        return [self.web.process.pid, self.analysis.pid, self.sender.pid]


@dataclass
class Arrived:
    """What came of comments that were sent to `POST /comments/process`."""

    messages: int
    calls: Times
    web_cpu_s: float
    analysis_cpu_s: float
    sent: Sent


def arrive(
    comments: Sequence[dict[str, str]], rate: float, data: Path, through: Arrival
) -> Arrived:
    """Comments come in at a rate, in small calls; an automatic campaign answers those that buy."""
    size = max(1, round(rate / CALLS_A_SECOND))
    batches = [comments[n : n + size] for n in range(0, len(comments), size)]
    gc.collect()
    before = [usage.cpu_seconds(pid) for pid in through.parents]
    sent, calls = Sent(), Times()
    starts = _post_all(batches, rate / size, through, calls, sent)
    _wait_until_analysed()
    found = DirectMessage.objects.filter(external_id__in=starts).exclude(state=State.SUPPRESSED)
    answered = {name: starts[name] for name in found.values_list("external_id", flat=True)}
    _wait_for_ledger(data, answered, sent)
    web, analysis, sent.sender_cpu_s = (
        usage.cpu_seconds(pid) - used for pid, used in zip(through.parents, before, strict=True)
    )
    return Arrived(len(answered), calls, web, analysis, sent)


def _post_all(
    batches: Sequence[Sequence[dict[str, str]]],
    calls_a_second: float,
    through: Arrival,
    calls: Times,
    sent: Sent,
) -> dict[str, datetime]:
    """Post each batch when it is due, over some connections; returns when each comment came."""
    starts: dict[str, datetime] = {}
    apis = threading.local()

    def post(batch: tuple[int, Sequence[dict[str, str]]]) -> None:
        number, comments = batch
        if not hasattr(apis, "client"):
            apis.client = through.web.client(through.token)
        content = _body(number, comments)
        starts.update(dict.fromkeys((c["id"] for c in comments), datetime.now(UTC)))
        with calls.clock():
            answer = apis.client.post(PROCESS, content=content)
        check(answer, len(comments))

    _in_threads(_in_time(list(enumerate(batches)), calls_a_second, sent), post, CONNECTIONS)
    return starts


def _in_threads(items: Iterator[Item], do: Callable[[Item], None], count: int) -> None:
    """Do something with each item, in so many threads; the first error is raised at the end."""
    turn = threading.Lock()
    errors: list[Exception] = []

    def work() -> None:
        try:
            while not errors:
                with turn:  # also while it waits until the next is due
                    item = next(items, None)
                if item is None:
                    break
                do(item)
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _body(number: int, batch: Sequence[dict[str, str]]) -> bytes:
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return msgspec.json.encode(
        {
            "post_id": buyers.POST,
            # a quarter of the comments get a message, so no account sends more than it may
            "account": buyers.account_of(number * len(batch)),
            "comments": [
                {"id": c["id"], "text": c["text"], "author": c["author"], "timestamp": now}
                for c in batch
            ],
        }
    )


def _in_time(items: Sequence[Item], rate: float, sent: Sent) -> Iterator[Item]:
    """The items, so many a second."""
    started = time.monotonic()
    for number, item in enumerate(items):
        due = started + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        sent.late_s = max(sent.late_s, time.monotonic() - due)
        yield item


def _wait_until_analysed() -> None:
    end = time.monotonic() + LONGEST_SECONDS
    while Comment.objects.filter(analyzed_at=None).exists():
        if time.monotonic() > end:
            raise WrongAnswerError(f"not analysed within {LONGEST_SECONDS} s")
        time.sleep(LOOK_SECONDS)


def _wait_for_ledger(data: Path, starts: Mapping[str, datetime], sent: Sent) -> None:
    """Until each comment has its message; takes down how long it took from its start."""
    started = time.monotonic()
    while True:
        came = {name: at for name, at in buyers.ledger(data) if name in starts}
        if len(came) == len(starts):
            break
        if time.monotonic() - started > LONGEST_SECONDS:
            raise WrongAnswerError(f"only {len(came)} of {len(starts)} messages were sent")
        time.sleep(LOOK_SECONDS)
    sent.drained_s = max(sent.drained_s, time.monotonic() - started)
    sent.times.seconds += [(came[name] - start).total_seconds() for name, start in starts.items()]
