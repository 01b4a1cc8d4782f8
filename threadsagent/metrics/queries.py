"""Counts the queries of the default connection, and times them, by what they do."""

import re
from functools import lru_cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from prometheus_client import Counter, Histogram

OPERATIONS = ("insert", "select", "update", "delete", "other")
SECONDS = Histogram(
    "comment_db_query_duration_seconds",
    "Time of a query, until PostgreSQL answers",
    ["operation"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
TOTAL = Counter("comment_db_operations_total", "Queries, failed ones included", ["operation"])
BY_OPERATION = {name: (SECONDS.labels(name), TOTAL.labels(name)) for name in OPERATIONS}
# In a statement with WITH it is the part that writes, of which ours have one kind.
WRITES = re.compile(r"\b(INSERT)\s+INTO\b|\b(UPDATE)\s+\S+\s+SET\b|\b(DELETE)\s+FROM\b")


def watch(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Have a connection's queries counted (a `connection_created` receiver)."""
    if connection.alias == "default" and count not in connection.execute_wrappers:
        # The first: a `with` block around what connects takes the last one away at its end.
        connection.execute_wrappers.insert(0, count)


def count(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Django's wrapper around one query."""
    seconds, total = BY_OPERATION[operation_of(str(sql))]
    total.inc()
    with seconds.time():
        return execute(sql, params, many, context)


def operation_of(sql: str) -> str:
    """What a statement does, one of `OPERATIONS`."""
    word = sql[:20].lstrip(" \n(").partition(" ")[0].strip().lower()
    if word == "with":
        return _written_by(sql)
    return word if word in OPERATIONS else "other"


@lru_cache(maxsize=100)
def _written_by(sql: str) -> str:
    write = WRITES.search(sql)
    return next(filter(None, write.groups())).lower() if write else "select"
