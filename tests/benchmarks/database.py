"""The tables from outside: filled, emptied, counted."""

from datetime import date
from typing import Any

from django.db import connection, transaction
from django_redis import get_redis_connection

from tests.benchmarks.data import LARGEST_STEP

TABLES = ("comments_comment", "intents_intentresult")
SETTLE_SECONDS = 11  # idle sessions of PostgreSQL report what they counted within ten

# Comments of one day that are analysed, and their ids in the ledger.
FILL = f"""
    WITH new AS (
        INSERT INTO comments_comment
            (id, source, external_id, post_id, text, author, posted_at, analyzed_at)
        SELECT comments_first_id(%(day)s) + (%(first)s / {LARGEST_STEP} + n) %% 1000000000,
               %(source)s,
               %(first)s + n * {LARGEST_STEP}::bigint + floor(random() * {LARGEST_STEP})::bigint,
               floor(random() * 500)::text, repeat(md5(n::text), 3),
               'user.' || floor(random() * 200000)::int, now(), now()
        FROM generate_series(0, %(count)s - 1) n
        RETURNING external_id, source, id
    )
    INSERT INTO comments_seencomment (external_id, source, comment_id)
    SELECT external_id, source, id FROM new
"""  # noqa: S608 - the number is ours


def query(statement: str, *values: str | int) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def execute(*statements: str) -> None:
    """Run statements, each a transaction of its own."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def change(statement: str, *values: str | int) -> None:
    """Run a statement with values."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def empty() -> None:
    """No comments, no ledger, and Redis knows no id."""
    execute("TRUNCATE comments_comment, comments_seencomment")
    forget_recent()


def forget_recent() -> None:
    """Redis knows no id."""
    redis = get_redis_connection("default")
    keys = redis.keys("seen:*")
    if keys:
        redis.delete(*keys)


def settle() -> None:
    """Do now what PostgreSQL would do in the background while something is measured."""
    execute("VACUUM ANALYZE", "CHECKPOINT")


def make_partitions(day: date) -> None:
    """The partitions of a day in the past, which the product never makes."""
    bounds = f"FROM (comments_first_id('{day}')) TO (comments_first_id(DATE '{day}' + 1))"
    for table in TABLES:
        execute(
            f"CREATE TABLE IF NOT EXISTS {table}_{day:%Y%m%d} PARTITION OF {table}"
            f" FOR VALUES {bounds}",
        )


def fill(day: date, count: int, first: int, source: str) -> None:
    """Comments of a day with external ids from `first` on (see `Platform.reserve`)."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(FILL, {"day": day, "count": count, "first": first, "source": source})


def writes() -> tuple[int, ...]:
    """Rows inserted, changed and deleted so far in the ledger and all partitions."""
    [row] = query(
        """
        SELECT sum(n_tup_ins)::bigint, sum(n_tup_upd)::bigint, sum(n_tup_del)::bigint
        FROM pg_stat_user_tables
        WHERE starts_with(relname, 'comments_comment') OR relname = 'comments_seencomment'
        """
    )
    return row


def sequence_value() -> int:
    """The number that the last comment's id was made of."""
    [(value,)] = query("SELECT last_value FROM comments_comment_number")
    return int(value)
