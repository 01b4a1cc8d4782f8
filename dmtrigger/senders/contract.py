"""What every sender is: what it can, and one function that sends.

A sender knows its platform and nothing of our tables. It never raises for what a network or a
platform does: it reports an `Outcome`.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from django.db.models import TextChoices

from dmtrigger.retry import Outcome


class Channel(TextChoices):
    """How a buyer is answered."""

    DIRECT_MESSAGE = "direct_message", "private message"
    PUBLIC_REPLY = "public_reply", "public reply"
    WEBHOOK = "webhook", "webhook: another system sends it"


class Endpoint(NamedTuple):
    """Where the channel webhook hands messages to."""

    url: str
    secret: str


class Delivery(NamedTuple):
    """What is to be sent, and to what."""

    key: str
    """The same at every attempt for a message; for platforms that take an idempotency key."""
    comment_id: str
    """The comment's id on the platform."""
    post_id: str
    account: str
    """The account that sends, as comments name it; empty: the source's only one."""
    recipient: str
    """User name of the comment's author."""
    text: str
    channel: Channel = Channel.DIRECT_MESSAGE
    endpoint: Endpoint | None = None
    """Set for the channel webhook only."""


class Sender(NamedTuple):
    """A way to send, and what the platform allows."""

    name: str
    channels: frozenset[Channel]
    send: Callable[[Delivery], Outcome]
    idempotent: bool
    """Whether a delivery made twice is one message: then an unknown outcome may be repeated."""
    max_bytes: int
    """Of the text, in UTF-8."""
    window: timedelta
    """After the comment; later the platform takes no answer to it."""
    hourly_limit: int | None
    """Messages an hour and account that the platform allows; None: no limit of its own."""

    @property
    def can_direct_message(self) -> bool:
        return Channel.DIRECT_MESSAGE in self.channels

    @property
    def can_public_reply(self) -> bool:
        return Channel.PUBLIC_REPLY in self.channels
