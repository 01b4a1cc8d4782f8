"""Private replies over the fake platform, which answers as Instagram's API does.

The codes are those of Meta's Graph API; docs/platforms.md has the table.
"""

from datetime import timedelta

from django.conf import settings

from comments.http import Answer, FetchError, NeverSentError, request_json
from dmtrigger.retry import Kind, Outcome
from dmtrigger.senders.contract import Channel, Delivery, Sender

SEND_SECONDS = 30.0  # for the whole call: well before `outbox.STUCK_AFTER` gives the sender up

# (code, subcode) before the code alone; what is in neither is refused.
BY_SUBCODE = {
    (10, 2534022): Kind.EXPIRED,
    (10, 2018278): Kind.EXPIRED,
    (10, 1893063): Kind.RESTRICTED,
    (100, 2534025): Kind.REPLY_USED,
    (100, 2534037): Kind.HELD,
    (200, 2534041): Kind.REFUSED,
}
BY_CODE = (
    dict.fromkeys((4, 17, 32, 613, *range(80001, 80015)), Kind.THROTTLED)
    | {368: Kind.RESTRICTED}
    | dict.fromkeys((10, 102, 190, *range(200, 300)), Kind.NEEDS_ACTION)
    | dict.fromkeys((1, 2), Kind.UNKNOWN)
)


def send(delivery: Delivery) -> Outcome:
    """Send the text as the private reply to a comment."""
    try:
        answer = request_json(
            "POST",
            f"{settings.FAKE_PLATFORM_URL}/messages",
            seconds=SEND_SECONDS,
            json={
                "recipient": {"comment_id": delivery.comment_id},
                "message": {"text": delivery.text},
            },
            headers={"Authorization": f"Bearer {settings.FAKE_PLATFORM_TOKEN}"},
        )
    except NeverSentError as error:
        return Outcome(Kind.NOT_DELIVERED, f"the platform cannot be reached: {error}")
    except FetchError as error:
        # Also an error page of whatever stands in between: the platform may have the message.
        return Outcome(Kind.UNKNOWN, f"no usable answer after the request had left: {error}")
    return _read(answer)


def _read(answer: Answer) -> Outcome:
    try:
        if answer.is_success:
            return Outcome(Kind.SENT, message_id=str(answer.body["message_id"]))
        error = answer.body["error"]
        code, subcode = int(error["code"]), error.get("error_subcode")
        subcode = None if subcode is None else int(subcode)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Outcome(Kind.UNKNOWN, f"HTTP {answer.status}, not the platform's form")
    detail = f"HTTP {answer.status}, code {code}/{subcode}: {error.get('message', '')}"
    return Outcome(_kind(answer.status, code, subcode), detail)


def _kind(status: int, code: int, subcode: int | None) -> Kind:
    known = BY_SUBCODE.get((code, subcode or 0)) or BY_CODE.get(code)
    return known or (Kind.UNKNOWN if status >= 500 else Kind.REFUSED)


SENDER = Sender(
    name="fake_platform",
    channels=frozenset({Channel.DIRECT_MESSAGE}),
    send=send,
    idempotent=False,
    max_bytes=1_000,
    window=timedelta(days=7),
    hourly_limit=750,
)
