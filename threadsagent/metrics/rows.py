"""What is read at a scrape: of the rows, which are the queues, and of the services.

It is the same whoever is asked. What cannot be read, or not in time, has no sample, and a scrape
never fails for it.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from threading import Condition

from cachetools import TTLCache, cached
from django.db import DatabaseError, InterfaceError, connection, transaction
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import comments.gauges
import dmtrigger.gauges
import intents.gauges
from threadsagent import health

logger = logging.getLogger(__name__)

KEPT_SECONDS = 5  # several scrapers at once cost as much as one
QUERY_SECONDS = 2  # then PostgreSQL gives a query up
ALL_SECONDS = 5  # then no further one is begun

READERS: tuple[Callable[[], Iterable[Metric]], ...] = (
    *comments.gauges.READERS,
    *intents.gauges.READERS,
    *dmtrigger.gauges.READERS,
)
_kept: TTLCache[object, bytes] = TTLCache(maxsize=1, ttl=KEPT_SECONDS)


@cached(_kept, condition=Condition())
def text() -> bytes:
    """The gauges in Prometheus' text format, at most `KEPT_SECONDS` old."""
    registry = CollectorRegistry()
    registry.register(Read([*_services()]))
    return generate_latest(registry)


def forget() -> None:
    """Read anew at the next scrape."""
    _kept.clear()


class Read(Collector):
    """What was read already, as the library wants it."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self.metrics


def _services() -> Iterator[Metric]:
    reachable = GaugeMetricFamily(
        "service_reachable", "Whether the web process reaches it (1) or not (0)", labels=["service"]
    )
    found: list[Metric] = []
    reachable.add_metric(["database"], _rows(found))
    yield from found
    cache = list(comments.gauges.cache())
    reachable.add_metric(["cache"], bool(cache))
    yield from cache
    reachable.add_metric(["broker"], health.broker() == "ok")
    yield reachable


def _rows(found: list[Metric]) -> bool:
    """Put what the rows say into `found`; the result is whether the database answered."""
    end = time.monotonic() + ALL_SECONDS
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", [int(QUERY_SECONDS * 1000)])
            for read in READERS:
                if time.monotonic() < end:
                    found += _read(read)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("database does not answer a scrape", extra={"error": str(error)})
        return False
    return True


def _read(read: Callable[[], Iterable[Metric]]) -> list[Metric]:
    try:
        with transaction.atomic():
            return list(read())
    except DatabaseError as error:  # it took too long, perhaps; the others are still asked
        if connection.connection is None or connection.connection.closed:
            raise
        logger.warning("not measured", extra={"reader": read.__qualname__, "error": str(error)})
        return []
