"""One message a comment, delivered once, whatever goes wrong between two commits."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from dmtrigger import outbox, tasks
from dmtrigger.models import DirectMessage
from dmtrigger.retry import Kind, Outcome
from dmtrigger.senders import senders
from dmtrigger.senders.fake_platform import SENDER
from dmtrigger.states import State
from tests.factories import DirectMessageFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def message(fake_platform) -> DirectMessage:
    """A message that waits, for a comment that the platform knows."""
    return waiting_message(fake_platform)


def waiting_message(fake_platform) -> DirectMessage:
    comment = fake_platform.store.add_comment("p1", text="price?", author="ada")
    return DirectMessageFactory(review__intent__comment__external_id=comment["id"])


def break_next(fake_platform, **fault: Any) -> None:
    httpx.post(f"{fake_platform.url}/faults", json={"times": 1} | fault).raise_for_status()


def sends(monkeypatch, send: Any, **fields: Any) -> None:
    """Have messages sent by this function."""
    sender = SENDER._replace(send=send, **fields)
    monkeypatch.setattr(outbox, "senders", lambda: {"fake_platform": sender})


def make_due(message: DirectMessage) -> None:
    DirectMessage.objects.filter(pk=message.pk).update(next_attempt_at=timezone.now())


def deliver_again(message: DirectMessage) -> None:
    """What happens once the message's next attempt is due."""
    make_due(message)
    outbox.deliver_next()
    message.refresh_from_db()


def test_a_due_message_is_delivered_and_its_outcome_recorded(message, fake_platform):
    outbox.deliver_next()
    message.refresh_from_db()
    [delivered] = fake_platform.store.messages()
    assert message.state == State.SENT
    assert message.platform_message_id == delivered["message_id"]
    assert (message.sent_at is not None, message.next_attempt_at) == (True, None)
    attempt = message.log.get()
    assert (attempt.number, attempt.outcome) == (1, "sent")
    assert attempt.finished_at >= attempt.started_at


def test_a_sent_message_is_not_sent_again(message, fake_platform):
    assert outbox.deliver_next() == message
    assert outbox.deliver_next() is None
    assert len(fake_platform.store.messages()) == 1


def test_a_message_that_is_not_due_yet_waits(message):
    DirectMessage.objects.update(next_attempt_at=timezone.now() + timedelta(minutes=1))
    assert outbox.deliver_next() is None


def test_a_second_message_for_a_comment_cannot_be_stored(message):
    with pytest.raises(IntegrityError), transaction.atomic():
        DirectMessageFactory(comment_id=message.comment_id)


def test_a_platform_that_is_away_is_tried_again_later(message, fake_platform, settings):
    there, settings.FAKE_PLATFORM_URL = settings.FAKE_PLATFORM_URL, "http://127.0.0.1:9"
    outbox.deliver_next()
    message.refresh_from_db()
    assert (message.state, message.attempts) == (State.PENDING, 1)
    assert message.next_attempt_at > timezone.now()
    assert "cannot be reached" in message.last_error
    settings.FAKE_PLATFORM_URL = there
    deliver_again(message)
    assert (message.state, message.last_error) == (State.SENT, "")
    assert [attempt.outcome for attempt in message.log.order_by("number")] == [
        "not_delivered",
        "sent",
    ]


def test_a_refused_message_has_failed_for_good(message, fake_platform):
    error = {"status": 400, "code": 551, "error_subcode": 1545041, "message": "unavailable"}
    break_next(fake_platform, error=error)
    outbox.deliver_next()
    message.refresh_from_db()
    assert (message.state, message.next_attempt_at) == (State.FAILED, None)
    assert "551/1545041: unavailable" in message.last_error


@pytest.mark.parametrize("delivered", [True, False])
def test_a_lost_answer_is_asked_about_and_the_buyer_gets_one_message(
    message, fake_platform, delivered
):
    break_next(fake_platform, drop_connection=True, after_delivery=delivered)
    outbox.deliver_next()
    message.refresh_from_db()
    assert message.state == State.UNKNOWN
    deliver_again(message)
    assert message.state == State.SENT
    assert len(fake_platform.store.messages()) == 1


def test_two_lost_answers_are_left_to_a_person(message, fake_platform):
    break_next(fake_platform, times=2, drop_connection=True)
    outbox.deliver_next()
    deliver_again(message)
    assert (message.state, message.next_attempt_at) == (State.UNKNOWN, None)


class WorkerKilled(BaseException):
    """As if the process had ended at this line."""


def die(*_: Any, **__: Any) -> None:
    raise WorkerKilled


def long_ago(message: DirectMessage) -> None:
    DirectMessage.objects.filter(pk=message.pk).update(
        claimed_at=timezone.now() - outbox.STUCK_AFTER - timedelta(seconds=1)
    )


@pytest.mark.parametrize("killed_before", ["_send", "_record"])
def test_a_worker_killed_around_the_sending_costs_no_message_and_doubles_none(
    message, fake_platform, monkeypatch, killed_before
):
    with monkeypatch.context() as patch:
        patch.setattr(outbox, killed_before, die)
        with pytest.raises(WorkerKilled):
            outbox.deliver_next()
    assert outbox.rescue_stuck() == 0  # it may still be at it
    long_ago(message)
    assert outbox.rescue_stuck() == 1
    message.refresh_from_db()
    assert message.state == State.UNKNOWN
    deliver_again(message)
    assert message.state == State.SENT
    assert len(fake_platform.store.messages()) == 1


def give_up(message: DirectMessage) -> Any:
    """The attempt of a worker that is still sending when it is given up."""
    claimed = outbox._claim(senders())
    assert claimed is not None
    long_ago(message)
    outbox.rescue_stuck()
    return claimed[1]


def test_a_slow_worker_that_was_given_up_still_reports_a_delivery(message, fake_platform):
    attempt = give_up(message)
    outbox._record(attempt, Outcome(Kind.SENT, message_id="m1"))
    message.refresh_from_db()
    assert (message.state, message.platform_message_id) == (State.SENT, "m1")
    assert message.next_attempt_at is None


def test_a_late_delivery_settles_the_message_whatever_the_next_attempt_finds(
    message, fake_platform
):
    fake_platform.store.deliver(message.external_id, "by the slow worker")
    late = give_up(message)
    make_due(message)
    claimed = outbox._claim(senders())
    assert claimed is not None
    outbox._record(late, Outcome(Kind.SENT, message_id="m1"))
    outbox._record(claimed[1], Outcome(Kind.REPLY_USED))
    message.refresh_from_db()
    assert (message.state, message.platform_message_id) == (State.SENT, "m1")


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.SENT}))
def test_any_other_late_report_changes_nothing(message, fake_platform, kind):
    late = give_up(message)
    outbox._record(late, Outcome(kind, "late"))
    message.refresh_from_db()
    assert message.state == State.UNKNOWN
    make_due(message)
    outbox.deliver_next()
    outbox._record(late, Outcome(kind, "late"))
    message.refresh_from_db()
    assert message.state == State.SENT


def test_what_was_recorded_meanwhile_is_not_rescued(message, fake_platform, monkeypatch):
    claimed = outbox._claim(senders())
    assert claimed is not None
    long_ago(message)
    outbox._record(claimed[1], Outcome(Kind.SENT))
    assert outbox.rescue_stuck() == 0
    assert message.log.get().outcome == "sent"


def test_a_sender_with_a_bug_leaves_the_outcome_unknown(message, fake_platform, monkeypatch):
    sends(monkeypatch, lambda _: 1 / 0)
    outbox.deliver_next()
    message.refresh_from_db()
    assert message.state == State.UNKNOWN
    assert "ZeroDivisionError" in message.last_error


def test_what_a_platform_says_is_made_to_fit(message, fake_platform, monkeypatch):
    said = Outcome(Kind.REFUSED, "no\x00 \ud800" + "x" * 5000, message_id="m" * 500)
    sends(monkeypatch, lambda _: said)
    outbox.deliver_next()
    message.refresh_from_db()
    assert message.last_error.startswith("no ?xxx")
    assert (len(message.last_error), len(message.platform_message_id)) == (1000, 200)


def test_a_message_whose_sender_is_gone_waits(message):
    DirectMessage.objects.update(sender="pigeon")
    assert outbox.deliver_next() is None


def test_a_message_that_cannot_leave_before_the_window_closes_has_expired(message, settings):
    settings.FAKE_PLATFORM_URL = "http://127.0.0.1:9"
    DirectMessage.objects.update(expires_at=timezone.now() + timedelta(seconds=5))
    outbox.deliver_next()
    message.refresh_from_db()
    assert (message.state, message.next_attempt_at) == (State.EXPIRED, None)


@pytest.mark.parametrize(("delivered", "state"), [(True, State.SENT), (False, State.PENDING)])
def test_a_person_settles_an_unknown_outcome(message, delivered, state):
    DirectMessage.objects.update(state=State.UNKNOWN, maybe_delivered=True, next_attempt_at=None)
    settled = outbox.settle(message.pk, delivered=delivered, by="olga")
    assert (settled.state, settled.maybe_delivered) == (state, False)
    assert (settled.sent_at is not None) is delivered
    assert (settled.next_attempt_at is not None) is not delivered


def test_what_is_not_in_doubt_cannot_be_settled(message):
    with pytest.raises(outbox.NotUnknown):
        outbox.settle(message.pk, delivered=False, by="olga")


@pytest.mark.django_db(transaction=True)
def test_several_workers_deliver_each_message_once(fake_platform):
    for _ in range(20):
        waiting_message(fake_platform)

    def work() -> int:
        try:
            return tasks.deliver_direct_messages()["attempted"]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        attempted = [pool.submit(work) for _ in range(4)]
    assert sum(task.result() for task in attempted) == 20
    assert set(DirectMessage.objects.values_list("state", "attempts")) == {(State.SENT, 1)}
    assert len(fake_platform.store.messages()) == 20


def test_messages_are_counted_by_state(message):
    assert outbox.count_by_state() == {state: int(state == "pending") for state in State.values}


@pytest.fixture
def woken(monkeypatch) -> list[str]:
    """The tasks that were woken."""
    names: list[str] = []
    monkeypatch.setattr(tasks, "wake_unless_woken", lambda task: names.append(task.name))
    return names


def test_a_task_stops_after_its_share_and_wakes_the_next(fake_platform, monkeypatch, woken):
    monkeypatch.setattr(tasks, "MESSAGES_A_TASK", 2)
    monkeypatch.setattr(outbox, "is_more_due", lambda: False)
    for _ in range(3):
        waiting_message(fake_platform)
    assert tasks.deliver_direct_messages() == {"attempted": 2}
    assert woken == ["deliver_direct_messages"]
    assert tasks.deliver_direct_messages() == {"attempted": 1}


def test_another_worker_is_woken_when_there_is_more_than_one_message(fake_platform, woken):
    for _ in range(3):
        waiting_message(fake_platform)
    assert tasks.deliver_direct_messages() == {"attempted": 3}
    assert woken == ["deliver_direct_messages"]


def test_no_other_worker_is_woken_for_a_single_message(fake_platform, woken):
    waiting_message(fake_platform)
    later = waiting_message(fake_platform)
    DirectMessage.objects.filter(pk=later.pk).update(
        next_attempt_at=timezone.now() + timedelta(hours=1)
    )
    assert tasks.deliver_direct_messages() == {"attempted": 1}
    assert woken == []
