"""What a platform tells us by itself: an echo of what we sent, and what people write to us.

It may tell it twice, late and in any order, so each event is stored such that once more does no
harm. What cannot be stored raises: the call is then not acknowledged, and comes again.
"""

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.utils import timezone

from comments.parsing import (
    CLOCK_SKEW,
    EARLIEST,
    MAX_ID_LENGTH,
    MAX_TEXT_LENGTH,
    FieldError,
    parse_text,
    storable,
)
from dmtrigger import links, outbox, people
from dmtrigger.models import DirectMessage
from dmtrigger.states import State

logger = logging.getLogger(__name__)

TOKEN = re.compile(r"/[ro]/([A-Za-z0-9_-]{22})(?![A-Za-z0-9_-])")
OPEN = (State.SENDING, State.UNKNOWN)


class Echo(NamedTuple):
    """Our account has sent this, whoever made it."""

    message_id: str
    text: str
    recipient: str
    """User name; empty where the platform does not say it."""


class Wrote(NamedTuple):
    """A person has sent our account this."""

    name: str
    text: str
    at: datetime


def take(source: str, body: Any) -> None:
    """Store what one call of the webhook `messages` says, in Instagram's form.

    An event that cannot be used is named in the log and costs the others nothing.
    """
    for place, event in _events(body):
        try:
            said = _read(event)
        except FieldError as error:
            problem = f"{error.field} {error}"
            logger.warning(
                "an event was left out", extra={"source": source, "at": place, "problem": problem}
            )
            continue
        if isinstance(said, Echo):
            settle_by_echo(source, said)
        elif isinstance(said, Wrote):
            people.wrote(source, said.name, said.text, said.at)


def settle_by_echo(source: str, echo: Echo) -> bool:
    """Settle the message whose outcome the echo tells; whether there was one.

    Its link has a token that only we can make. A text without one must be that of a single open
    message, and no other's echo: of two with the same text, one may not have left.
    """
    tokens = (
        links.comment_of(token, purpose)
        for token in TOKEN.findall(echo.text)
        for purpose in links.Purpose
    )
    comment_id = next((found for found in tokens if found is not None), None)
    if comment_id is None:
        comment_id = _by_text(source, echo)
    return comment_id is not None and outbox.confirm(comment_id, echo.message_id)


def _by_text(source: str, echo: Echo) -> int | None:
    same = DirectMessage.objects.filter(source=source, text=echo.text)
    if echo.recipient:
        same = same.filter(recipient=echo.recipient)
    open_ones = list(same.filter(state__in=OPEN).values_list("comment_id", flat=True)[:2])
    if len(open_ones) != 1:
        return None
    known = same.filter(state=State.SENT, platform_message_id=echo.message_id)
    return None if known.exists() else open_ones[0]


def _events(body: Any) -> Iterator[tuple[str, Any]]:
    """Each event and its place; of what has none in it, the whole."""
    entries = body.get("entry") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        yield "body", body
        return
    for number, entry in enumerate(entries):
        events = entry.get("messaging") if isinstance(entry, dict) else None
        if not isinstance(events, list):
            yield f"entry {number}", entry
            continue
        for index, event in enumerate(events):
            yield f"entry {number}, event {index}", event


def _read(event: Any) -> Echo | Wrote | None:
    """What an event says; None for what is no message: one that was read, a reaction.

    Raises FieldError.
    """
    if not isinstance(event, dict) or not {"sender", "recipient"} <= event.keys():
        raise FieldError("event", "must be an object with sender, recipient and message")
    message = event.get("message")
    if message is None:
        return None
    if not isinstance(message, dict):
        raise FieldError("message", "must be an object")
    text = message.get("text", "")  # a picture has none
    if not isinstance(text, str):
        raise FieldError("text", "must be text")
    text = storable(text[:MAX_TEXT_LENGTH])
    if message.get("is_echo") is True:
        message_id = parse_text("mid", _text(message, "mid"), MAX_TEXT_LENGTH)
        return Echo(message_id, text, _text(event["recipient"], "username"))
    name = parse_text("sender's username", _text(event["sender"], "username"), MAX_ID_LENGTH)
    return Wrote(name, text, _moment(event.get("timestamp")))


def _text(holder: Any, name: str) -> str:
    """A field's text; empty where there is none."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return storable(value) if isinstance(value, str) else ""


def _moment(milliseconds: Any) -> datetime:
    """When it was; now, if that is not told: a STOP must not be lost for its time."""
    now = timezone.now()
    if not isinstance(milliseconds, int | float):
        return now
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return now
    return moment if EARLIEST <= moment <= now + CLOCK_SKEW else now
