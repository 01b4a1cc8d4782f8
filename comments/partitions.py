"""The daily partitions of the tables whose key is a comment's id: made ahead, dropped when old.

A comment's id is `seconds since EPOCH * IDS_PER_SECOND + a number of a sequence that goes round`,
given out by the database (`comments_new_id()`, migration 0002). So a day, or any stretch of time,
is a range of ids, and the tables are partitioned by their primary key: an id leads to its
partition, ids stay unique by themselves, and reading the newest first takes one partition after
the other. Partitioning by `created_at` would need it in every key.
"""

import logging
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from comments.signals import comments_retired

logger = logging.getLogger(__name__)

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
IDS_PER_SECOND = 10**6  # keeps ids below 2**53, which JSON readers hold exactly, for 285 years
IDS_PER_DAY = 86_400 * IDS_PER_SECOND
DAYS_AHEAD = 7
LOCK_TIMEOUT = "2s"  # a table that a long query holds is tried again at the next run
ADVISORY_LOCK = 0x7468726561647361  # "threadsa": one process at a time makes partitions

_tables = ["comments_comment"]


def register(table: str) -> None:
    """Have a table, partitioned by comment id in its own migration, kept in step with comments."""
    if table not in _tables:
        _tables.append(table)


def first_id(day: date) -> int:
    """The lowest id that a comment stored on `day` (UTC) can have."""
    return (day - EPOCH.date()).days * IDS_PER_DAY


def id_at(moment: datetime) -> int:
    """The lowest id that a comment stored in the second of `moment`, or later, can have."""
    return (moment - EPOCH) // timedelta(seconds=1) * IDS_PER_SECOND


def given_out_at(comment_id: int) -> datetime:
    """The second in which an id was given out: the other way round."""
    return EPOCH + timedelta(seconds=comment_id // IDS_PER_SECOND)


def today() -> date:
    """The day (UTC) by the database's clock, which gives out the ids."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (now() AT TIME ZONE 'UTC')::date")
        day: date = cursor.fetchone()[0]
        return day


def ensure_partitions(days_ahead: int = DAYS_AHEAD) -> list[str]:
    """Make what is missing of the partitions from today on; returns the names of the new ones.

    Attaching, unlike `CREATE TABLE … PARTITION OF`, lets readers and writers of the parent go on.
    """
    made = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        first_day = today()
        for table in _tables:
            if not _is_partitioned(table):  # in the middle of the migrations
                continue
            existing = {name for name, _upper in partitions(table)}
            for offset in range(days_ahead + 1):
                day = first_day + timedelta(days=offset)
                name = f"{table}_{day:%Y%m%d}"
                if name in existing:
                    continue
                cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
                cursor.execute(
                    f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)",
                    [first_id(day), first_id(day) + IDS_PER_DAY],
                )
                made.append(name)
    return made


def retire(keep_days: int | None = None) -> list[str]:
    """Drop the partitions whose comments were all stored more than `keep_days` days ago.

    The ledger keeps their ids. Returns the names of the dropped tables. Raises
    `django.db.OperationalError` when a table is in use for longer than `LOCK_TIMEOUT`.
    """
    keep_days = settings.RETENTION_DAYS if keep_days is None else keep_days
    oldest_kept = first_id(today() - timedelta(days=keep_days))
    dropped: list[str] = []
    for table in reversed(_tables):
        # Each in a transaction of its own: who locks several tables waits in circles with those
        # who read them in another order. What is left after a kill the next run drops.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
            old = [name for name, upper in partitions(table) if upper <= oldest_kept]
            if old and not dropped:
                comments_retired.send(sender="comments.partitions", before_id=oldest_kept)
            if old:
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                cursor.execute(f"DROP TABLE {', '.join(old)}")
        dropped += old
    for name in dropped:
        logger.info("partition retired", extra={"partition": name})
    return dropped


def _is_partitioned(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(%s)", [table])
        return bool(cursor.fetchone() == (True,))


def partitions(table: str) -> list[tuple[str, int]]:
    """Name and upper bound (the first id after it) of each partition of a table, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.relname, substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \\(''?(\\d+)')
            FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
            WHERE inhparent = to_regclass(%s)
            """,
            [table],
        )
        return sorted(((n, int(upper)) for n, upper in cursor.fetchall()), key=lambda p: p[1])
