"""Counters of the outbox and the webhooks; the labels are states, rules and outcomes."""

from prometheus_client import Counter, Histogram

from dmtrigger.policy import Rule
from dmtrigger.retry import Kind
from dmtrigger.states import State

MESSAGES = Counter("direct_messages_total", "Messages by the state they came to", ["state"])
TO_MESSAGE = Histogram(
    "comment_to_message_seconds",
    "From the comment's own time until the platform took the message for it",
    buckets=(1, 5, 10, 30, 60, 300, 900, 3600, 3 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400),
)
REFUSED = Counter("direct_messages_refused_total", "Messages not sent, by the rule", ["rule"])
PAUSES = Counter("account_pauses_total", "Pauses of accounts, by what the platform said", ["kind"])
WEBHOOKS = Counter("webhook_deliveries_total", "Attempts to tell an event", ["outcome"])
CLICKS = Counter("link_clicks_total", "Clicks stored, by who clicked", ["who"])
CLICKS_LOST = Counter("link_clicks_lost_total", "Clicks that could not be kept")
CONVERSIONS = Counter("conversions_total", "Sales told by the shop, by the outcome", ["outcome"])

# What is known beforehand is there from the start, with zero: a rate needs two samples.
for state in State:
    MESSAGES.labels(state)
for rule in Rule:
    REFUSED.labels(rule)
for kind in Kind:
    PAUSES.labels(kind)
for outcome in ("delivered", "retried", "failed"):
    WEBHOOKS.labels(outcome)
for who in ("person", "bot"):
    CLICKS.labels(who)
for outcome in ("stored", "known", "kept", "rejected"):
    CONVERSIONS.labels(outcome)
