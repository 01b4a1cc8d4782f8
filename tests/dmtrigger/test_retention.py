"""What is over its time goes, in chunks; that a comment has had its message is known for ever."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, transaction
from django.utils import timezone

from dmtrigger import outbox, retention, tasks, webhooks
from dmtrigger.models import (
    Click,
    Conversion,
    DirectMessage,
    MessageEvent,
    WebhookDelivery,
    WebhookEndpoint,
)
from dmtrigger.states import State
from tests.factories import DirectMessageFactory, UserFactory

pytestmark = pytest.mark.django_db
FINAL = [State.SENT, State.FAILED, State.EXPIRED, State.CANCELLED, State.SUPPRESSED, State.UNKNOWN]


def ago(days: float) -> datetime:
    return timezone.now() - timedelta(days=days)


def old_message(days: float = 401, state: State = State.SENT, **fields: Any) -> DirectMessage:
    """A message that came to its state so long ago, with a history and an attempt."""
    message = DirectMessageFactory(
        state=state, last_error="ada is away", platform_message_id="mid.1", **fields
    )
    message.events.create(state=State.PENDING, at=ago(days + 1), detail="ada")
    message.events.create(state=state, at=ago(days), detail="ada")
    message.log.create(number=1, account=message.account, detail="ada", finished_at=ago(days))
    return message


def click(message: DirectMessage, days: float) -> Click:
    return Click.objects.create(
        message=message, token=uuid.uuid4(), at=ago(days), is_bot=False, user_agent="Firefox"
    )


# --- messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", FINAL)
def test_an_old_message_has_no_person_any_more(state):
    message = old_message(state=state)
    assert retention.drop_old()["messages"] == 1
    message.refresh_from_db()
    assert (message.recipient, message.text, message.last_error) == ("", "", "")
    assert (message.platform_message_id, message.next_attempt_at) == ("", None)
    assert (message.state, message.log.count(), message.events.count()) == (state, 0, 0)


def test_its_comment_still_has_had_its_message():
    message = old_message()
    retention.drop_old()
    with pytest.raises(IntegrityError), transaction.atomic():
        DirectMessageFactory(comment_id=message.comment_id)


def test_what_came_of_it_still_counts():
    message = old_message(score=85, model_version="v1", sent_at=ago(401))
    Conversion.objects.create(message=message, order_id="o-1", value=1, currency="EUR", at=ago(400))
    retention.drop_old()
    kept = DirectMessage.objects.get()
    assert (kept.score, kept.model_version, kept.campaign) == (85, "v1", message.campaign)
    assert kept.sent_at == message.sent_at
    assert kept.conversions.count() == 1


def test_a_message_of_late_stays():
    message = old_message(days=399)
    assert retention.drop_old()["messages"] == 0
    message.refresh_from_db()
    assert (message.text, message.events.count()) == ("Hi ada", 2)


def test_the_time_is_that_of_the_last_thing_that_happened():
    message = old_message(state=State.UNKNOWN)
    message.events.create(state=State.SENT, at=ago(3), by="olga")
    assert retention.drop_old()["messages"] == 0


@pytest.mark.parametrize("state", [State.PENDING, State.SENDING])
def test_what_may_still_leave_stays(state):
    message = old_message(state=state)
    retention.drop_old()
    message.refresh_from_db()
    assert message.text == "Hi ada"


def test_the_days_are_a_setting(settings):
    old_message(days=31)
    settings.MESSAGE_RETENTION_DAYS = 30
    assert retention.drop_old()["messages"] == 1


def test_it_goes_on_behind_what_must_stay(monkeypatch):
    monkeypatch.setattr(retention, "CHUNK", 2)
    for _ in range(3):
        old_message(state=State.PENDING)
    for _ in range(3):
        old_message()
    assert retention.drop_old()["messages"] == 3
    assert retention.drop_old()["messages"] == 0
    assert MessageEvent.objects.count() == 6


class WorkerKilled(BaseException):
    """As if the process had ended at this line."""


def test_a_run_that_is_killed_is_taken_up_by_the_next(monkeypatch):
    monkeypatch.setattr(retention, "CHUNK", 2)
    for _ in range(3):
        old_message()
    chunks = iter([outbox.retire])

    def retire(*arguments: Any) -> Any:
        try:
            return next(chunks)(*arguments)
        except StopIteration:
            raise WorkerKilled from None

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "retire", retire)
        with pytest.raises(WorkerKilled):
            retention.drop_old()
    assert DirectMessage.objects.filter(text="").count() == 1
    assert retention.drop_old()["messages"] == 2


def test_the_admins_log_names_nobody_either():
    message = old_message()
    LogEntry.objects.create(
        user=UserFactory(),
        content_type=ContentType.objects.get_for_model(DirectMessage),
        object_id=str(message.pk),
        object_repr=str(message),
        action_flag=CHANGE,
    )
    retention.drop_old()
    assert LogEntry.objects.get().object_repr == "erased"


# --- clicks, webhooks -------------------------------------------------------------------------


def test_old_clicks_are_dropped(monkeypatch):
    monkeypatch.setattr(retention, "CHUNK", 2)
    message = DirectMessageFactory()
    for _ in range(5):
        click(message, days=401)
    recent = click(message, days=399)
    assert retention.drop_old()["clicks"] == 5
    assert Click.objects.get() == recent


@pytest.mark.parametrize("state", ["delivered", "failed", "pending"])
def test_old_deliveries_are_dropped(monkeypatch, state):
    monkeypatch.setattr(webhooks, "CHUNK", 2)
    endpoint = WebhookEndpoint.objects.create(name="crm", url="https://crm.example/")
    for number in range(5):
        WebhookDelivery.objects.create(
            endpoint=endpoint, event_id=f"e{number}", payload={}, state=state, created_at=ago(31)
        )
    recent = WebhookDelivery.objects.create(
        endpoint=endpoint, event_id="recent", payload={}, created_at=ago(29)
    )
    assert retention.drop_old()["webhook deliveries"] == 5
    assert WebhookDelivery.objects.get() == recent


def test_beat_asks_for_it(settings):
    names = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert {tasks.drop_old_data.name, tasks.deliver_webhooks.name} <= names
    nothing = {"webhook deliveries": 0, "clicks": 0, "messages": 0, "answers to calls": 0}
    assert tasks.drop_old_data() == nothing
