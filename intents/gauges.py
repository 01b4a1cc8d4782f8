"""The metrics that are read at a scrape: what waits for operators, and how the model does."""

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from intents.drift import score_drift
from intents.failures import count_parked
from intents.reviews import count_pending, longest_wait, precision


def waiting() -> Iterator[Metric]:
    """What waits for an operator."""
    yield GaugeMetricFamily(
        "intent_reviews_pending", "Reviews that wait for an operator", value=count_pending()
    )
    yield GaugeMetricFamily(
        "intent_reviews_oldest_seconds",
        "How long the oldest review waits that is not put off; 0 without any",
        value=longest_wait().total_seconds(),
    )
    yield GaugeMetricFamily(
        "intent_analysis_parked",
        "Comments whose analysis failed, and that wait for an operator",
        value=count_parked(),
    )


def model() -> Iterator[Metric]:
    """Whether the model still does what it did."""
    share = precision()
    if share is not None:
        yield GaugeMetricFamily(
            "intent_precision_7d",
            "Share of the reviews decided by operators within seven days that they approved",
            value=share,
        )
    drift = score_drift()
    if drift is not None:
        yield GaugeMetricFamily(
            "intent_score_drift",
            "How far the scores of the last day are from those of the week before (population"
            " stability index: below 0.1 as always, above 0.25 another distribution)",
            value=drift,
        )


READERS = (waiting, model)
