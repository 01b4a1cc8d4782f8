"""Counters of the outbox and the webhooks; the labels are states, rules and outcomes."""

from prometheus_client import Counter

MESSAGES = Counter("direct_messages_total", "Messages by the state they came to", ["state"])
REFUSED = Counter("direct_messages_refused_total", "Messages not sent, by the rule", ["rule"])
PAUSES = Counter("account_pauses_total", "Pauses of accounts, by what the platform said", ["kind"])
WEBHOOKS = Counter("webhook_deliveries_total", "Attempts to tell an event", ["outcome"])
CLICKS = Counter("link_clicks_total", "Clicks stored, by who clicked", ["who"])
CLICKS_LOST = Counter("link_clicks_lost_total", "Clicks that could not be kept")
CONVERSIONS = Counter("conversions_total", "Sales told by the shop, by the outcome", ["outcome"])
