"""Hands messages over to another system, which sends them: a signed POST for each.

The requests are those of Standard Webhooks (https://www.standardwebhooks.com), and `webhook-id` is
the same at every attempt, so a receiver can tell a repetition. docs/senders.md is what it reads.
"""

import json
from datetime import timedelta
from typing import Any

from comments.http import Answer, FetchError, NeverSentError
from dmtrigger.endpoints import send_signed
from dmtrigger.retry import Kind, Outcome
from dmtrigger.senders.contract import Channel, Delivery, Sender
from dmtrigger.signing import BadSecret

SEND_SECONDS = 30.0  # for the whole call, as for a platform
NOT_NOW = frozenset({408, 425, 429})
SHOWN_CHARACTERS = 300  # of what a receiver says


def send(delivery: Delivery) -> Outcome:
    """Hand the message over to the endpoint."""
    endpoint = delivery.endpoint
    if endpoint is None:
        return Outcome(Kind.HELD, "the campaign names no endpoint any more")
    body = json.dumps(
        {
            "type": "message.send",
            "key": delivery.key,
            "comment_id": delivery.comment_id,
            "post_id": delivery.post_id,
            "account": delivery.account,
            "recipient": delivery.recipient,
            "text": delivery.text,
        }
    )
    try:
        answer = send_signed(
            endpoint.url, endpoint.secret, delivery.key, body, seconds=SEND_SECONDS
        )
    except BadSecret as error:
        return Outcome(Kind.HELD, str(error))
    except NeverSentError as error:
        return Outcome(Kind.NOT_DELIVERED, f"the endpoint cannot be reached: {error}")
    except FetchError as error:
        return Outcome(Kind.UNKNOWN, f"no usable answer after the request had left: {error}")
    return _read(answer)


def _read(answer: Answer) -> Outcome:
    if answer.is_success:
        return Outcome(Kind.SENT, message_id=_message_id(answer.body))
    said = answer.body[:SHOWN_CHARACTERS].decode(errors="replace")
    detail = f"HTTP {answer.status}: {said}"
    if answer.status >= 500:
        return Outcome(Kind.UNKNOWN, detail)
    if answer.status >= 400 and answer.status not in NOT_NOW:
        return Outcome(Kind.REFUSED, detail)
    # a redirect too: nobody signed for the other address, and the endpoint's can be mended
    return Outcome(Kind.NOT_DELIVERED, detail)


def _message_id(body: bytes) -> str:
    """What the receiver calls the message, if it says that."""
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    said = answer.get("message_id") if isinstance(answer, dict) else None
    return str(said) if isinstance(said, str | int) else ""


SENDER = Sender(
    name="webhook",
    channels=frozenset({Channel.WEBHOOK}),
    send=send,
    idempotent=True,
    max_bytes=1_000,
    window=timedelta(days=7),  # of the platforms, which whoever sends it meets too
    hourly_limit=None,
)
