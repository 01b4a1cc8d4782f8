"""The metrics that are read at a scrape: the queue, the posts, the database, and Redis."""

from collections.abc import Iterator

from django.apps import apps
from django.db.models import Count
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from comments import statistics
from comments.models import Monitor
from comments.queue import count_unanalyzed, longest_wait
from comments.redis import ask

APPS = ("comments", "intents", "dmtrigger")


def queue() -> Iterator[Metric]:
    """What waits to be analysed."""
    yield GaugeMetricFamily(
        "comment_processing_queue_length",
        "Comments stored and not yet analysed",
        value=count_unanalyzed(),
    )
    yield GaugeMetricFamily(
        "comment_processing_queue_depth_seconds",
        "How long the oldest comment that is not analysed has been stored; 0 without any",
        value=longest_wait().total_seconds(),
    )


def monitors() -> Iterator[Metric]:
    """The posts that are watched."""
    found = GaugeMetricFamily("monitors_in_status", "Watched posts by status", labels=["status"])
    counts = dict(Monitor.objects.values_list("status").annotate(Count("pk")))
    for status in Monitor.Status:
        found.add_metric([status.value], counts.get(status.value, 0))
    yield found


def connections() -> Iterator[Metric]:
    """The connections to the database."""
    there = statistics.connections()
    yield GaugeMetricFamily(
        "comment_db_connection_pool_active",
        "Connections to this database in a query or a transaction",
        value=there.active,
    )
    yield GaugeMetricFamily(
        "comment_db_connection_pool_idle",
        "Connections to this database that wait for a query",
        value=there.idle,
    )
    yield GaugeMetricFamily(
        "comment_db_connections_max",
        "Connections that the server takes, for all its databases",
        value=there.most,
    )


def sizes() -> Iterator[Metric]:
    """How much is stored."""
    rows = GaugeMetricFamily(
        "comment_db_rows_total", "About how many rows a table has", labels=["table"]
    )
    tables = {m._meta.db_table for m in apps.get_models() if m._meta.app_label in APPS}
    for table, count in statistics.estimated_rows(tables).items():
        rows.add_metric([table], count)
    yield rows
    yield GaugeMetricFamily(
        "comment_db_size_bytes", "The database on disk", value=statistics.database_size()
    )


def cache() -> Iterator[Metric]:
    """What Redis says of itself; nothing when it does not answer."""
    said = ask("metrics", lambda redis: redis.info())
    if said is None:
        return
    yield CounterMetricFamily(
        "comment_cache_hits_total", "Keys that Redis had", value=said["keyspace_hits"]
    )
    yield CounterMetricFamily(
        "comment_cache_misses_total", "Keys that Redis did not have", value=said["keyspace_misses"]
    )
    yield CounterMetricFamily(
        "comment_cache_evictions_total",
        "Keys that Redis dropped for want of memory",
        value=said["evicted_keys"],
    )
    yield GaugeMetricFamily(
        "comment_cache_memory_usage_bytes", "Memory that Redis uses", value=said["used_memory"]
    )
    if said["maxmemory"]:
        yield GaugeMetricFamily(
            "comment_cache_memory_max_bytes", "Memory that Redis may use", value=said["maxmemory"]
        )


READERS = (queue, monitors, connections, sizes)
"""Those that ask the database."""
