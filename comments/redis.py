"""Redis, which only makes things faster: every answer it gives can be done without.

A Redis that is gone or slow costs one time-out (a second, see CACHES) and is then left alone for
`RETRY_SECONDS`, so that not every request waits for it in turn.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

from circuitbreaker import CircuitBreaker
from django_redis import get_redis_connection
from redis import Redis
from redis.exceptions import RedisError

from comments import metrics

logger = logging.getLogger(__name__)

RETRY_SECONDS = 10

Answer = TypeVar("Answer")


breaker = CircuitBreaker(
    failure_threshold=1,
    recovery_timeout=RETRY_SECONDS,
    expected_exception=(RedisError, OSError),
)


def ask(purpose: str, question: Callable[[Redis], Answer]) -> Answer | None:
    """`question(client)`, or None when Redis does not answer; that is logged and counted.

    `purpose` is the label of the count: a few fixed words, such as "deduplication".
    """
    if not breaker.opened:
        try:
            with breaker:
                return question(get_redis_connection("default"))
        except (RedisError, OSError) as error:
            logger.warning(
                "Redis does not answer, going on without it",
                extra={"purpose": purpose, "error": type(error).__name__},
            )
    metrics.REDIS_SKIPPED.labels(purpose).inc()
    return None
