"""A Celery worker keeps its database connection, and does without a broken one."""

import pytest
from django.db import connection

from dmtrigger.models import DirectMessage
from dmtrigger.tasks import deliver_direct_messages
from tests.factories import DirectMessageFactory
from tests.integration.processes import database_url, eventually, worker_process

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

OTHERS = """
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""  # noqa: E501


def others(what: str = "pid") -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {what} {OTHERS}")
        return [row[0] for row in cursor.fetchall()]


def attempted(log) -> None:
    """Have the worker try a message; nobody answers where it is sent to."""
    message = DirectMessageFactory()
    deliver_direct_messages.delay()
    eventually(
        lambda: DirectMessage.objects.filter(pk=message.pk, attempts=1, state="pending").exists(),
        "an attempt",
        log=log,
    )
    message.delete()


def test_a_worker_keeps_its_connection_and_replaces_a_broken_one(tmp_path):
    log = tmp_path / "worker.log"
    with worker_process(log, queues="send", DATABASE_URL=database_url()):
        attempted(log)
        first = others()
        assert len(first) == 1
        attempted(log)
        assert others() == first
        others("pg_terminate_backend(pid)::int")
        attempted(log)
        assert len(others()) == 1
        assert others() != first
