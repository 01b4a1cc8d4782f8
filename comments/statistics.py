"""What PostgreSQL knows of itself without counting anything."""

from collections.abc import Collection
from typing import NamedTuple

from django.db import connection

# A partition's rows are its table's. What is stored since the last ANALYZE is in the one figure,
# what was there before a restart of a replica in the other.
ROWS = """
    SELECT coalesce(root.relname, part.relname),
           sum(greatest(part.reltuples, pg_stat_get_live_tuples(part.oid), 0))::bigint
    FROM pg_class part LEFT JOIN pg_class root ON root.oid = pg_partition_root(part.oid)
    WHERE part.relkind = 'r' AND coalesce(root.relname, part.relname) = ANY (%s)
          AND part.relnamespace = current_schema()::regnamespace
    GROUP BY 1
"""
CONNECTIONS = """
    SELECT count(*) FILTER (WHERE state IS DISTINCT FROM 'idle'),
           count(*) FILTER (WHERE state = 'idle'),
           current_setting('max_connections')::int
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
"""


class Connections(NamedTuple):
    """The connections to this database."""

    active: int
    """Those in a query or a transaction."""
    idle: int
    most: int
    """Of all databases of the server together."""


def estimated_rows(tables: Collection[str]) -> dict[str, int]:
    """About how many rows each of the tables has, partitions added up."""
    with connection.cursor() as cursor:
        cursor.execute(ROWS, [list(tables)])
        return dict.fromkeys(tables, 0) | dict(cursor.fetchall())


def connections() -> Connections:
    """How many connections there are, and how many there may be."""
    with connection.cursor() as cursor:
        cursor.execute(CONNECTIONS)
        return Connections(*cursor.fetchone())


def database_size() -> int:
    """Bytes on disk."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        size: int = cursor.fetchone()[0]
        return size
