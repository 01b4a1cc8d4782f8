"""One run: approvals go on while the plan's blows fall; then all comes to rest and is compared.

The driver also plays who is there in real life: the operator who lets paused accounts send again
and, since a run is short, time. Delays are cut short by moving `next_attempt_at`; a message is
taken for stuck sooner than after `outbox.STUCK_AFTER`, which is changed in this process only, and
still later than any sender gives up. Nothing is settled by hand.
"""

import heapq
import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from dmtrigger import outbox, pacing
from dmtrigger.models import Account, DeliveryAttempt, DirectMessage, MessageEvent
from dmtrigger.states import CLAIMABLE, State
from intents import reviews
from intents.models import Review
from tests.benchmarks import buyers
from tests.chaos import checking
from tests.chaos.checking import Attempt, Message, Verdict
from tests.chaos.faults import Faults
from tests.chaos.plan import Blow, Step
from tests.chaos.system import System

APPROVING = 0.8  # of the time; the rest is for what waits by then
FAULTY = 0.15  # of the attempts
FIRST_FAULTS = 5
TOGETHER = 5  # approvals in a transaction
TICK_SECONDS = 0.1
TIME_FLIES_SECONDS = 1.0  # between two looks at what is paused, late or stuck
RETRY_SECONDS = 0.2

CUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Approvals(threading.Thread):
    """Approves some reviews in a transaction, as the analysis does, and then the next, spread over
    some time; what the database cuts off is made again."""

    def __init__(self, review_ids: Sequence[int], seconds: float) -> None:
        super().__init__(name="approvals", daemon=True)
        self.done: list[int] = []
        self.repeated = 0
        self.error: Exception | None = None
        self._over = threading.Event()
        self._review_ids = review_ids
        self._seconds = seconds

    def run(self) -> None:
        started = time.monotonic()
        try:
            for start in range(0, len(self._review_ids), TOGETHER):
                due = started + self._seconds * start / len(self._review_ids)
                if self._over.wait(max(0.0, due - time.monotonic())):
                    break
                self._approve(self._review_ids[start : start + TOGETHER])
        except Exception as error:  # noqa: BLE001 - told by who waits for the thread
            self.error = error
        finally:
            connection.close()

    def stop(self) -> None:
        """Approve no more, and wait for what is under way."""
        self._over.set()
        self.join()

    def _approve(self, review_ids: Sequence[int]) -> None:
        while True:
            try:
                with transaction.atomic():
                    for review_id in review_ids:
                        reviews.decide(review_id, Review.Status.APPROVED, rule="chaos")
            except (OperationalError, InterfaceError):
                self.repeated += len(review_ids)
                connection.close()
                time.sleep(RETRY_SECONDS)
            else:
                self.done += review_ids
                return


@dataclass
class Driver:
    """What is done to the system, and what has been done so far."""

    system: System
    faults: Faults
    blows: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    rescued: int = 0
    resumed: int = 0
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _last_look: float = 0.0

    def strike(self, plan: Sequence[Step], approvals: Approvals, deadline: float) -> None:
        """The plan, and faults, until both it and the approvals are through."""
        started = time.monotonic()
        for step in plan:
            self._at(started + step.at, partial(self._blow, step))
        asked_for = 0
        while (self._due or approvals.is_alive()) and time.monotonic() < deadline:
            self._tick()
            wanted = FIRST_FAULTS + int(FAULTY * DeliveryAttempt.objects.count())
            self.faults.add(wanted - asked_for)
            asked_for = wanted

    def rest(self, deadline: float) -> bool:
        """No more blows: wait until nothing moves by itself any more. Whether it came to that."""
        for process in (self.system.broker, self.system.platform):
            if process.running is None:
                process.start()
        self._end_faults(deadline)
        moving = DirectMessage.objects.filter(state__in=(State.PENDING, State.SENDING))
        asked = DirectMessage.objects.filter(state=State.UNKNOWN, next_attempt_at__isnull=False)
        while moving.exists() or asked.exists():
            if time.monotonic() > deadline:
                return False
            self._tick()
        return True

    def _end_faults(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            try:
                self.faults.end()
            except OSError:
                self._tick()
            else:
                return

    def _tick(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        if now - self._last_look >= TIME_FLIES_SECONDS:
            self._last_look = now
            self._let_time_fly()
        time.sleep(TICK_SECONDS)

    def _let_time_fly(self) -> None:
        now = timezone.now()
        for account in Account.objects.filter(paused_until__gt=now):
            pacing.resume(account, "chaos")
            self.resumed += 1
        late = DirectMessage.objects.filter(state__in=CLAIMABLE, next_attempt_at__gt=now)
        late.update(next_attempt_at=now)
        self.rescued += outbox.rescue_stuck()

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (moment, len(self._due), action))

    def _blow(self, step: Step) -> None:
        self.blows[step.blow] += 1
        match step.blow:
            case Blow.WORKER_PROCESS:
                self._kill_one(step.choice)
            case Blow.WORKER:
                worker = self.system.workers[int(step.choice * len(self.system.workers))]
                worker.kill()
                worker.start()
            case Blow.BROKER | Blow.PLATFORM:
                process = getattr(self.system, step.blow)
                process.kill()
                self._at(time.monotonic() + step.away, process.start)
            case Blow.CONNECTIONS:
                with connection.cursor() as cursor:
                    cursor.execute(CUT)
                    self.cut += cursor.fetchone()[0]

    def _kill_one(self, choice: float) -> None:
        children = sorted(pid for worker in self.system.workers for pid in worker.children)
        if children:
            os.kill(children[int(choice * len(children))], signal.SIGKILL)


def compare(approved: Sequence[int], data: Path) -> Verdict:
    """The outbox beside the platform's ledger, when all has come to rest."""
    names = dict(Review.objects.values_list("pk", "intent__comment__external_id"))
    return checking.check(
        [names[review_id] for review_id in approved],
        _messages(),
        [comment for comment, _at in buyers.ledger(data)],
    )


def _messages() -> list[Message]:
    attempts: dict[int, list[Attempt]] = {}
    history: dict[int, list[str]] = {}
    log = DeliveryAttempt.objects.order_by("message", "number")
    for message, outcome, detail in log.values_list("message", "outcome", "detail"):
        attempts.setdefault(message, []).append(Attempt(outcome, detail))
    events = MessageEvent.objects.order_by("pk")
    for message, state in events.values_list("message", "state"):
        history.setdefault(message, []).append(state)
    return [
        Message(
            comment=row.external_id,
            state=row.state,
            waits_for_operator=row.next_attempt_at is None,
            last_error=row.last_error,
            history=history.get(row.pk, ()),
            attempts=attempts.get(row.pk, ()),
        )
        for row in DirectMessage.objects.order_by("pk")
    ]


def expect_stuck_after(seconds: float) -> None:
    """Take a message for stuck after so long, in this process."""
    outbox.STUCK_AFTER = timedelta(seconds=seconds)
    logging.getLogger("dmtrigger").setLevel(logging.ERROR)  # what is broken here is meant to be
