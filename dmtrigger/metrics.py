"""Counters of the outbox; the label is one of the states."""

from prometheus_client import Counter

MESSAGES = Counter("direct_messages_total", "Messages by the state they came to", ["state"])
