"""A wake-up reaches the broker, and a broker that is away costs nobody anything."""

import logging

import pytest
from celery import current_app
from kombu import Connection

from comments.ingest import ingest
from comments.models import Comment
from comments.wakeup import wake
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


@pytest.fixture
def no_broker(monkeypatch):
    # the app keeps its pools of connections, so the address alone would change nothing
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1:9/0")
    monkeypatch.setattr(current_app.conf, "broker_write_url", "redis://127.0.0.1:9/0")
    _forget_pools()
    yield
    monkeypatch.undo()
    _forget_pools()


def _forget_pools() -> None:
    monkeypatch_pools = {"_pool": current_app, "_producer_pool": current_app.amqp}
    for name, owner in monkeypatch_pools.items():
        setattr(owner, name, None)


@pytest.mark.django_db(transaction=True)
def test_comments_are_stored_while_the_broker_is_away(no_broker, caplog):
    caplog.set_level(logging.WARNING)
    assert ingest([ITEM], source="fake_platform", post_id="p1").stored == 1
    assert Comment.objects.count() == 1
    assert "broker is away" in caplog.text
