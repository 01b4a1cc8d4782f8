"""What the first release stored is all there after the migrations since."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from comments.ingest import ingest
from comments.models import Comment, Monitor, SeenComment
from dmtrigger.models import DirectMessage
from intents.models import Review

FIRST = [(app, "0001_initial") for app in ("comments", "intents", "dmtrigger", "threadsagent")]
NAME = "threadsagent_first_release"


@pytest.fixture
def empty_database(django_db_setup, django_db_blocker) -> Iterator[None]:
    """A database without any table, in place of the tests' own for as long as it lasts."""
    with django_db_blocker.unblock():
        usual = connection.settings_dict["NAME"]
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {NAME}")
        _connect(NAME)
        try:
            yield
        finally:
            _connect(usual)
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE {NAME}")
            connection.close()


def _connect(name: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = name


def test_what_the_first_release_stored_is_there_after_the_migrations(empty_database):
    executor = MigrationExecutor(connection)
    executor.migrate(FIRST)
    old = executor.loader.project_state(FIRST).apps
    posted = timezone.now()
    user = old.get_model("threadsagent", "User").objects.create(username="olga")
    for n in (1, 2, 3):
        comment = old.get_model("comments", "Comment").objects.create(
            source="s", external_id=f"c{n}", post_id="p", text="?", author="a", posted_at=posted
        )
        if n == 1:  # so that the ids of results and comments differ
            continue
        intent = old.get_model("intents", "IntentResult").objects.create(
            comment=comment, label="praise", score=70 + n, confidence=1, model_version="m"
        )
        review = old.get_model("intents", "Review").objects.create(
            intent=intent, status="approved", decided_at=posted, decided_by=user
        )
    old.get_model("dmtrigger", "DirectMessage").objects.create(
        comment=comment,
        review=review,
        campaign=old.get_model("dmtrigger", "Campaign").objects.create(name="x"),
    )
    monitors = old.get_model("comments", "Monitor").objects
    monitors.create(source="s", post_id="p1", cursor="page 7")
    monitors.create(source="s", post_id="p2", is_active=False)

    call_command("migrate", verbosity=0)

    assert Comment.objects.count() == SeenComment.objects.count() == 3
    assert {r.intent.score: r.intent.comment.external_id for r in Review.objects.all()} == {
        72: "c2",
        73: "c3",
    }
    message = DirectMessage.objects.get()
    assert (message.comment_id, message.external_id, message.posted_at) == (3, "c3", posted)
    assert message.reason == "praise 73 (m), approved by olga"
    states = dict(Monitor.objects.values_list("post_id", "status"))
    assert states == {"p1": "active", "p2": "stopped"}
    assert len(set(Monitor.objects.values_list("task_id"))) == 2

    items = [
        {"id": f"c{n}", "text": "?", "author": "a", "timestamp": "2024-01-25T10:30:00Z"}
        for n in (3, 4)
    ]
    report = ingest(items, source="s", post_id="p")
    assert (report.stored, report.duplicates) == (1, 1)
