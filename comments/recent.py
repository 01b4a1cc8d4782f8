"""The ids that came in lately, kept in Redis: they spare the database what it would answer anyway.

They are remembered only after the commit that stored them (or found them stored), so an id that
Redis knows is in the ledger. Redis forgetting, or being gone, costs time and nothing else. After
the database is restored from a backup the keys `seen:*` have to go (docs/operators.md).
"""

import time
from collections.abc import Sequence

from django.conf import settings
from redis import Redis

from comments import metrics
from comments.redis import ask

PURPOSE = "deduplication"


def known(source: str, ids: Sequence[str]) -> set[str]:
    """Those of `ids` that were remembered within `DEDUP_CACHE_TTL` seconds."""
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
    return f"seen:{source}:{stretch}", f"seen:{source}:{stretch - 1}"
