"""The metrics that are read at a scrape: messages, the accounts they leave from, webhooks."""

from collections.abc import Iterator
from datetime import timedelta

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from dmtrigger import dashboard, outbox, pacing, webhooks
from dmtrigger.models import Account
from dmtrigger.senders import senders


def messages() -> Iterator[Metric]:
    """The outbox."""
    found = GaugeMetricFamily("direct_messages_in_state", "Messages by state", labels=["state"])
    for state, count in outbox.count_by_state().items():
        found.add_metric([state], count)
    yield found


def waiting() -> Iterator[Metric]:
    """The messages and reviews that time runs out for."""
    yield GaugeMetricFamily(
        "direct_messages_overdue_seconds",
        "How long the message waits that could have left first; 0 without any",
        value=outbox.longest_overdue().total_seconds(),
    )
    left = outbox.next_expiry()
    if left is not None:
        yield GaugeMetricFamily(
            "direct_messages_next_expiry_seconds",
            "Until the platform takes the waiting message no more that expires first",
            value=left.total_seconds(),
        )
    yield GaugeMetricFamily(
        "intent_reviews_closing",
        "Waiting reviews whose comment can be answered for less than two more hours",
        value=dashboard.count_closing(within=timedelta(hours=2)),
    )


def accounts() -> Iterator[Metric]:
    """How busy the accounts are, and whether they may send."""
    used = GaugeMetricFamily(
        "account_limit_used_ratio",
        "How much of its messages an hour an account has used, by our count or the platform's",
        labels=["account"],
    )
    paused = GaugeMetricFamily(
        "account_paused", "Whether the account waits as a whole (1) or not (0)", labels=["account"]
    )
    there = list(Account.objects.order_by("pk"))
    for account, ratio in pacing.used(there, senders()).items():
        used.add_metric([str(account)], ratio)
    for account in there:
        paused.add_metric([str(account)], pacing.is_paused(account))
    yield used
    yield paused


def deliveries() -> Iterator[Metric]:
    """The webhooks that are not told yet, and those that are given up."""
    found = GaugeMetricFamily(
        "webhook_deliveries_in_state",
        "Events for webhooks by state, without those that are delivered",
        labels=["state"],
    )
    for state, count in webhooks.count_undelivered().items():
        found.add_metric([state], count)
    yield found


READERS = (messages, waiting, accounts, deliveries)
