"""Queries are counted by what they do."""

import pytest
from django.db import DatabaseError, connection
from prometheus_client import REGISTRY

from comments import ingest
from comments.models import Monitor
from threadsagent.metrics.queries import operation_of


@pytest.mark.parametrize(
    ("sql", "operation"),
    [
        ("SELECT 1", "select"),
        ("(SELECT 1) UNION (SELECT 2)", "select"),
        ("  select 1", "select"),
        ('INSERT INTO "a" VALUES (1)', "insert"),
        ("UPDATE a SET b = 1", "update"),
        ("DELETE FROM a", "delete"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "select"),
        ("WITH a AS (SELECT 1) UPDATE b SET c = 1 FROM a", "update"),
        (ingest.INSERT, "insert"),
        ("SAVEPOINT x", "other"),
        ("SET LOCAL x = 1", "other"),
        ("TRUNCATE a", "other"),
        ("", "other"),
    ],
)
def test_a_statement_is_counted_as_what_it_does(sql, operation):
    assert operation_of(sql) == operation


def counted(operation: str) -> tuple[float, float]:
    labels = {"operation": operation}
    name = "comment_db_query_duration_seconds_count"
    total = REGISTRY.get_sample_value("comment_db_operations_total", labels)
    times = REGISTRY.get_sample_value(name, labels)
    assert total is not None
    assert times is not None
    return total, times


@pytest.mark.django_db
def test_each_query_is_counted_once_and_timed():
    inserts, selects = counted("insert")[0], counted("select")[0]
    Monitor.objects.bulk_create([Monitor(source="x", post_id="p")])
    assert Monitor.objects.count() == 1
    assert counted("insert")[0] == inserts + 1
    assert counted("select")[0] == selects + 1


@pytest.mark.django_db(transaction=True)
def test_a_failed_query_counts_too_also_over_a_new_connection():
    connection.close()
    before = counted("select")
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT 1/0")
    assert counted("select") == (before[0] + 1, before[1] + 1)
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert counted("select") == (before[0] + 2, before[1] + 2)
