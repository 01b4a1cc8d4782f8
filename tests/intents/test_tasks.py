"""The analysis task, what wakes it, and what becomes of its batch when it is killed."""

import os
import signal
from collections import Counter
from datetime import timedelta

import pytest
from celery import current_app
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from kombu import Connection, Exchange, Queue

from comments.ingest import ingest
from comments.models import Comment
from comments.wakeup import wake
from dmtrigger.tasks import deliver_direct_messages
from intents import tasks
from intents.models import AnalysisFailure, IntentResult, Review
from tests.factories import AnalysisFailureFactory, CommentFactory
from tests.integration.processes import database_url, eventually, process
from threadsagent.run.processes import QUIET_WORKER

ITEM = {"id": "c1", "text": "price?", "author": "ada", "timestamp": "2024-01-25T10:30:00Z"}


@pytest.fixture
def woken(monkeypatch) -> list[str]:
    """The names of the tasks that were woken."""
    names: list[str] = []
    monkeypatch.setattr(tasks, "wake_unless_woken", lambda task, *_: names.append(task.name))
    return names


@pytest.mark.django_db
def test_stored_comments_wake_the_analysis_once_a_batch(woken, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        ingest([ITEM, ITEM | {"id": "c2"}], source="fake_platform", post_id="p1")
    assert woken == ["analyze_comment_batch"]


@pytest.mark.django_db
def test_a_full_batch_wakes_another_worker_and_the_last_does_not(woken, settings, model):
    settings.COMMENT_BATCH_SIZE = 2
    CommentFactory.create_batch(3)
    assert tasks.analyze_comment_batch() == {"analyzed": 2}
    assert woken == ["analyze_comment_batch"]
    assert tasks.analyze_comment_batch() == {"analyzed": 1}
    assert woken == ["analyze_comment_batch"]


@pytest.mark.django_db
def test_the_sweep_tries_again_what_failed_and_is_due(model):
    AnalysisFailureFactory(retry_at=timezone.now())
    AnalysisFailureFactory(retry_at=timezone.now() + timedelta(minutes=1))
    assert tasks.analyze_comment_batch() == {"analyzed": 1}
    assert AnalysisFailure.objects.count() == 1


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
def test_a_database_that_is_away_is_tried_three_times_more(monkeypatch, error):
    tries = []

    def fail():
        tries.append(1)
        raise error

    monkeypatch.setattr("intents.analysis.analyze_batch", lambda _: fail())
    assert tasks.analyze_comment_batch.apply().state == "FAILURE"
    assert len(tries) == 4


def test_a_worker_of_both_queues_takes_the_sends_first():
    received: list[str] = []
    with Connection(current_app.conf.broker_url) as broker:
        queues = [Queue(name, Exchange(name), routing_key=name) for name in ("analyze", "send")]
        for queue in queues:
            queue(broker.default_channel).declare()
            queue(broker.default_channel).purge()
        for task in (tasks.analyze_comment_batch, deliver_direct_messages):
            wake(task)
        with broker.Consumer(queues, no_ack=True) as consumer:
            consumer.callbacks = [lambda _body, message: received.append(message.headers["task"])]
            while len(received) < 2:
                broker.drain_events(timeout=5)
    assert received == ["deliver_direct_messages", "analyze_comment_batch"]


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "place",
    ["tests.intents.fakes.FakeModel.predict", "intents.experiments.store_shadow"],
    ids=["while the model answers", "just before the commit"],
)
def test_what_a_killed_worker_was_at_is_analysed_exactly_once(model, tmp_path, place):
    fresh = CommentFactory.create_batch(5, text="price?")
    poison = CommentFactory(text="poison")
    due = AnalysisFailureFactory(attempts=1, retry_at=timezone.now())
    reached, log = tmp_path / "reached", tmp_path / "worker.log"
    worker = ("celery", "-A", "tests.intents.slow_worker", "worker", "-Q", "analyze", "-c", "1")
    env = {"DATABASE_URL": database_url(), "SLOW_AT": place, "REACHED": str(reached)}
    with process(log, *worker, *QUIET_WORKER, **env) as killed:
        wake(tasks.analyze_comment_batch)
        eventually(reached.exists, "the middle of the batch", log=log)
        assert tasks.analyze_comment_batch() == {"analyzed": 0}  # the worker has them all
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    assert not IntentResult.objects.exists()

    def all_is_done() -> bool:  # the database lets go of the rows when it finds the worker dead
        tasks.analyze_comment_batch()
        return IntentResult.objects.count() == 6 and AnalysisFailure.objects.count() == 1

    eventually(all_is_done, "the rows are let go of")
    answers = Counter(IntentResult.objects.values_list("pk", flat=True))
    assert answers == Counter([comment.pk for comment in fresh] + [due.pk])
    assert Review.objects.count() == 6
    assert not Comment.objects.filter(analyzed_at=None).exists()
    failure = AnalysisFailure.objects.get()
    assert (failure.pk, failure.attempts) == (poison.pk, 1)
