"""`/metrics` in Prometheus' text format, for a scraper with the token or a member of staff."""

import hmac
import os
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from comments.queue import count_unanalyzed
from dmtrigger.outbox import count_by_state
from intents.failures import count_parked
from intents.reviews import count_pending


class Backlog(Collector):
    """What waits, read from the rows at each scrape: the database is the queue."""

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "comment_processing_queue_length",
            "Comments stored and not yet analysed",
            value=count_unanalyzed(),
        )
        yield GaugeMetricFamily(
            "intent_reviews_pending", "Reviews that wait for an operator", value=count_pending()
        )
        yield GaugeMetricFamily(
            "intent_analysis_parked",
            "Comments whose analysis failed, and that wait for an operator",
            value=count_parked(),
        )
        messages = GaugeMetricFamily(
            "direct_messages_in_state", "Messages by state", labels=["state"]
        )
        for state, count in count_by_state().items():
            messages.add_metric([state], count)
        yield messages


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics of this host's processes, and the backlog."""
    if not _may_scrape(request):
        return HttpResponse("give METRICS_TOKEN as a bearer token\n", status=403)
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    else:
        registry = REGISTRY
    backlog = CollectorRegistry()
    backlog.register(Backlog())
    body = generate_latest(registry) + generate_latest(backlog)
    return HttpResponse(body, content_type=CONTENT_TYPE_LATEST)


def _may_scrape(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token and hmac.compare_digest(given.encode(), token.encode()):
        return True
    return request.user.is_authenticated and request.user.is_staff
