"""The ids that came in lately, kept in Redis: they spare the database what it would answer anyway.

They are remembered only after the commit that stored them (or found them stored), so an id that
Redis knows is in the ledger. Redis forgetting, or being gone, costs time and nothing else. The keys
name the database that they speak of: one that is made anew, restored to an earlier time or failed
over to a replica has others, and so has the staging system that shares a Redis.
"""

import threading
import time
from collections.abc import Sequence

from django.conf import settings
from django.db import connection
from redis import Redis

from comments import metrics
from comments.redis import ask

PURPOSE = "deduplication"
SAMPLE = 64


def known(source: str, ids: Sequence[str]) -> set[str]:
    """Those of `ids` that were remembered within `DEDUP_CACHE_TTL` seconds, if they are many.

    A sample is looked up first. When less than a quarter of it is known, Redis would cost more
    than it saves: the statement that stores the others finds the known ones too.
    """
    sample = ids[:: len(ids) // SAMPLE] if len(ids) > 2 * SAMPLE else ()
    if sample and 4 * len(_known(source, sample)) < len(sample):
        return set()
    return _known(source, ids)


def _known(source: str, ids: Sequence[str]) -> set[str]:
    if not ids:
        return set()
    found = ask(PURPOSE, lambda redis: _look_up(redis, source, ids)) or set()
    metrics.CACHE_HITS.inc(len(found))
    metrics.CACHE_MISSES.inc(len(ids) - len(found))
    return found


def remember(source: str, ids: Sequence[str]) -> None:
    """Remember ids that are stored for good, for one to two times `DEDUP_CACHE_TTL`."""

    def add(redis: Redis) -> None:
        key = _keys(source)[0]
        with redis.pipeline(transaction=False) as pipeline:
            pipeline.sadd(key, *ids)
            pipeline.expire(key, 2 * settings.DEDUP_CACHE_TTL)
            pipeline.execute()

    if ids:
        ask(PURPOSE, add)


def _look_up(redis: Redis, source: str, ids: Sequence[str]) -> set[str]:
    """One set for each stretch of the TTL: a command for thousands of ids, where a key for each
    would be thousands of commands and ten times the memory."""
    found: set[str] = set()
    for key in _keys(source):
        rest = [id_ for id_ in ids if id_ not in found]
        if rest:
            answers = redis.smismember(key, rest)
            found.update(id_ for id_, is_member in zip(rest, answers, strict=True) if is_member)
    return found


def _keys(source: str) -> tuple[str, str]:
    """This stretch's set, and that of the one before."""
    stretch = int(time.time() // settings.DEDUP_CACHE_TTL)
    name = f"seen:{_database()}:{source}"
    return f"{name}:{stretch}", f"{name}:{stretch - 1}"


_asked = threading.local()  # Django's connections are the threads' own


def _database() -> str:
    """What tells this database, in its present life, from all others; asked once a connection."""
    connection.ensure_connection()
    if getattr(_asked, "connection", None) is not connection.connection:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT system_identifier, oid, timeline_id FROM pg_control_system(),"
                " pg_control_checkpoint(), pg_database WHERE datname = current_database()"
            )
            _asked.name = "-".join(map(str, cursor.fetchone()))
            _asked.connection = connection.connection
    return str(_asked.name)
