"""A wake-up reaches the broker, and a broker that is away costs nobody anything."""

import logging
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from unittest import mock

import pytest
from amqp.exceptions import AccessRefused
from celery import current_app
from django.utils import timezone
from kombu import Connection

from comments import wakeup
from comments.ingest import ingest
from comments.models import Comment
from comments.wakeup import begun, wake, wake_once, wake_unless_woken
from intents.tasks import analyze_comment_batch

ITEM = {"id": "c1", "text": "price?", "author": "ada", "timestamp": "2024-01-25T10:30:00Z"}


def test_a_wake_up_is_a_message_in_the_tasks_queue():
    with Connection(current_app.conf.broker_url) as broker:
        queue = broker.SimpleQueue("analyze")
        queue.clear()
        wake(analyze_comment_batch)
        message = queue.get(timeout=5)
        message.ack()
    assert message.headers["task"] == "analyze_comment_batch"
    assert message.payload[:2] == [[], {}]  # no comment travels with it


def test_of_many_who_want_the_same_moment_one_wakes_the_task():
    moment = timezone.now() + timedelta(seconds=5)
    with mock.patch.object(wakeup, "wake") as wake:
        for _ in range(3):
            wake_once(analyze_comment_batch, moment)
        wake_once(analyze_comment_batch, moment + timedelta(seconds=1))
    seconds = [call.args[1] for call in wake.call_args_list]
    assert seconds == [pytest.approx(5, abs=1), pytest.approx(6, abs=1)]


def test_no_second_message_is_sent_until_a_worker_has_begun():
    with mock.patch.object(wakeup, "wake") as wake:
        wake_unless_woken(analyze_comment_batch)
        wake_unless_woken(analyze_comment_batch)
        assert wake.call_count == 1
        begun(analyze_comment_batch)
        wake_unless_woken(analyze_comment_batch)
        assert wake.call_count == 2


def test_a_message_that_no_worker_takes_is_taken_for_lost(monkeypatch):
    monkeypatch.setattr(wakeup, "ON_ITS_WAY_SECONDS", 1)
    with mock.patch.object(wakeup, "wake") as wake:
        wake_unless_woken(analyze_comment_batch)
        time.sleep(1.1)
        wake_unless_woken(analyze_comment_batch)
    assert wake.call_count == 2


def test_without_redis_each_wakes(no_redis):
    with mock.patch.object(wakeup, "wake") as wake:
        wake_unless_woken(analyze_comment_batch)
        wake_unless_woken(analyze_comment_batch)
    assert wake.call_count == 2


def test_what_is_far_off_is_left_to_the_sweep():
    with mock.patch.object(wakeup, "wake") as wake:
        wake_once(analyze_comment_batch, timezone.now() + timedelta(minutes=1))
    assert not wake.called


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.fixture(params=["away", "silent"])
def no_broker(request, silent_server, monkeypatch):
    address = "redis://127.0.0.1:9/0" if request.param == "away" else silent_server
    # the app keeps its pools of connections, so the address alone would change nothing
    monkeypatch.setattr(current_app.conf, "broker_url", address)
    monkeypatch.setattr(current_app.conf, "broker_write_url", address)
    _forget_pools()
    yield
    monkeypatch.undo()
    _forget_pools()


def _forget_pools() -> None:
    for owner, name in ((current_app, "_pool"), (current_app.amqp, "_producer_pool")):
        setattr(owner, name, None)


@pytest.mark.django_db(transaction=True)
def test_comments_are_stored_while_the_broker_is_away(no_broker, caplog):
    caplog.set_level(logging.WARNING)
    assert ingest([ITEM], source="fake_platform", post_id="p1").stored == 1
    assert Comment.objects.count() == 1
    assert "broker is away" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_comments_are_stored_when_the_broker_refuses_us(monkeypatch, caplog):
    def refuse(*_: object, **__: object) -> None:
        raise AccessRefused  # no kombu.exceptions.OperationalError

    monkeypatch.setattr(analyze_comment_batch, "apply_async", refuse)
    assert ingest([ITEM], source="fake_platform", post_id="p1").stored == 1
    assert "broker is away" in caplog.text


def test_a_broker_that_failed_is_left_alone_for_a_while(no_broker, caplog):
    for _ in range(3):
        wake(analyze_comment_batch)
    assert caplog.text.count("broker is away") == 1
