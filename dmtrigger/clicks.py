"""The clicks on messages' links: noted in Redis, stored by a task. The only writer of `Click`.

Whoever clicks waits for one command of Redis. What is noted there stays until it is in the
database: it is read, stored, and only then taken away, each of them again if need be. A click has
a token of its own, so it is stored once however often that is tried, also by two tasks at once.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID, uuid4

import crawleruseragents
import msgspec
from django.db import Error as DatabaseError
from django.db import connection
from django.utils import timezone
from redis import Redis

from comments.parsing import storable
from comments.redis import ask
from dmtrigger import metrics
from dmtrigger.models import Click, DirectMessage

logger = logging.getLogger(__name__)

PURPOSE = "clicks"
BATCH = 1_000
MAX_USER_AGENT = 300  # characters, the column's


class Noted(msgspec.Struct, frozen=True, array_like=True):
    """A click that is not stored yet."""

    token: UUID
    message_id: int
    at: datetime
    user_agent: str


def note(message_id: int, user_agent: str) -> None:
    """Somebody followed the link of a message; kept in Redis, or stored at once without it.

    Never raises: who wants to buy is led on, also where nothing can be kept.
    """
    click = Noted(uuid4(), message_id, timezone.now(), storable(user_agent)[:MAX_USER_AGENT])
    content = msgspec.json.encode(click)
    # Redis may have taken it and not said so in time: then it is stored twice, that is once.
    if ask(PURPOSE, lambda redis: redis.lpush(_key(), content)) is None:
        try:
            _store([click])
        except DatabaseError:
            metrics.CLICKS_LOST.inc()
            logger.exception("a click is lost", extra={"message_id": message_id})


def store_noted() -> int:
    """Store what Redis has, the oldest first; how many clicks were read."""
    read = 0
    while contents := ask(PURPOSE, _oldest):
        _store(list(_decoded(contents)))
        if ask(PURPOSE, partial(_take_away, contents)) is None:
            break  # read again at the next run, and known by their tokens then
        read += len(contents)
    return read


def waiting() -> int:
    """How many clicks are noted and not stored yet; 0 also when Redis does not say."""
    return ask(PURPOSE, lambda redis: redis.llen(_key())) or 0


def is_bot(user_agent: str) -> bool:
    """Whether it is a link preview, a crawler or another program; each browser says what it is."""
    return not user_agent.strip() or crawleruseragents.is_crawler(user_agent)


def _store(clicks: Sequence[Noted]) -> None:
    """Those of messages that there still are: one that was erased has none."""
    ids = {click.message_id for click in clicks}
    there = set(DirectMessage.objects.filter(pk__in=ids).values_list("pk", flat=True))
    rows = [
        Click(
            message_id=click.message_id,
            token=click.token,
            at=click.at,
            is_bot=is_bot(click.user_agent),
            user_agent=click.user_agent,
        )
        for click in clicks
        if click.message_id in there
    ]
    stored = set(
        Click.objects.filter(token__in=[row.token for row in rows]).values_list("token", flat=True)
    )
    Click.objects.bulk_create(rows, ignore_conflicts=True)
    for row in (row for row in rows if row.token not in stored):
        metrics.CLICKS.labels("bot" if row.is_bot else "person").inc()


def _decoded(contents: Sequence[bytes]) -> Iterator[Noted]:
    """What cannot be read would stand before all others for ever; it is said, and left out."""
    for content in contents:
        try:
            yield msgspec.json.decode(content, type=Noted)
        except msgspec.MsgspecError:
            metrics.CLICKS_LOST.inc()
            logger.error("a noted click cannot be read", extra={"content": str(content)[:300]})


def _oldest(redis: Redis) -> Sequence[bytes]:
    contents: Sequence[bytes] = redis.lrange(_key(), -BATCH, -1)  # type: ignore[assignment]  # not text
    return contents


def _take_away(contents: Sequence[bytes], redis: Redis) -> list[int]:
    """Each by its content, from the end they were read at: of two tasks that have read the same,
    the second takes away nothing, and not what came since."""
    with redis.pipeline(transaction=False) as pipeline:
        for content in reversed(contents):
            pipeline.lrem(_key(), -1, content)  # type: ignore[arg-type]  # bytes are taken too
        return list(pipeline.execute())


def _key() -> str:
    """The list's name says whose messages it speaks of, should systems share a Redis."""
    database = connection.settings_dict
    return f"clicks:{database['HOST']}:{database['PORT']}:{database['NAME']}"
