"""Tell a worker that there is something to do.

The rows in the database are the work; a message only says "look now". So a broker that is away
costs time until the next sweep, never data, and never an error to whoever stored the rows. Nor
does it cost everybody a time-out: after a failure the broker is left alone for `RETRY_SECONDS`.
"""

from __future__ import annotations  # Task is generic only in the stubs

import logging
import math
from datetime import datetime
from typing import Any

from celery import Task
from circuitbreaker import CircuitBreaker
from django.utils import timezone
from redis import Redis

from comments import metrics, redis

logger = logging.getLogger(__name__)

RETRY_SECONDS = 30
CONFIRM_SECONDS = 2  # within which RabbitMQ must say that it has the message
EXPIRES_SECONDS = 60  # by then a sweep has looked; so that none pile up while no worker runs
ON_ITS_WAY_SECONDS = 5  # a message that no worker has taken by then is taken for lost
LONGEST_COUNTDOWN = 30  # seconds; a worker holds what is due later in its memory

breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=RETRY_SECONDS)


def wake(task: Task[Any, Any], seconds: float = 0) -> None:
    """Publish one message without arguments for `task`, to be done in so many seconds.

    A dead broker is logged and counted. What is due late is left to the sweep.
    """
    if seconds > LONGEST_COUNTDOWN:
        return
    if breaker.opened:
        metrics.WAKE_UPS.labels(task.name, "skipped").inc()
        return
    try:
        with breaker:
            task.apply_async(
                countdown=seconds,
                expires=EXPIRES_SECONDS,
                confirm_timeout=CONFIRM_SECONDS,  # type: ignore[call-arg]  # goes on to kombu
            )
    except Exception as error:  # noqa: BLE001 - whatever it is, the rows are committed
        metrics.WAKE_UPS.labels(task.name, "failed").inc()
        logger.warning(
            "broker is away, the sweep will do it", extra={"task": task.name, "error": str(error)}
        )
    else:
        metrics.WAKE_UPS.labels(task.name, "sent").inc()


def wake_unless_woken(task: Task[Any, Any], seconds: float = 0) -> None:
    """As `wake`, but nothing where a message is on its way already that no worker has begun with.

    The task calls `begun` before it looks: what is committed by now, it will see. So the busier the
    workers are, the more each task finds, and the fewer find nothing.
    """

    if _is_first(_on_its_way(task), ON_ITS_WAY_SECONDS) is not False:  # None: nobody knows
        wake(task, seconds)


def begun(task: Task[Any, Any]) -> None:
    """A worker has begun with the task: what is stored from now on needs another message."""
    redis.ask("wake-up", lambda client: client.delete(_on_its_way(task)))


def _on_its_way(task: Task[Any, Any]) -> str:
    return f"woken:{task.name}"


def wake_once(task: Task[Any, Any], moment: datetime) -> None:
    """Have `task` woken at `moment`, once however many workers ask for that.

    Without Redis nobody knows who has asked already, so it is left to the sweep.
    """
    seconds = max(0.0, (moment - timezone.now()).total_seconds())
    if seconds > LONGEST_COUNTDOWN:
        return
    key = f"wake:{task.name}:{moment.timestamp()}"
    if _is_first(key, math.ceil(seconds) + EXPIRES_SECONDS):
        wake(task, seconds)


def _is_first(key: str, seconds: int) -> bool | None:
    """Whether nobody has asked for this within so many seconds; None without Redis."""

    def note(client: Redis) -> bool:
        return bool(client.set(key, 1, nx=True, ex=seconds))

    return redis.ask("wake-up", note)
