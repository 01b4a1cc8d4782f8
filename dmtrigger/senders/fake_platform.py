"""Private and public replies over the fake platform, which answers as Instagram's API does.

The codes are those of Meta's Graph API; docs/platforms.md has the table.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from django.conf import settings

from comments.http import Answer, FetchError, NeverSentError, request_json
from dmtrigger.retry import Kind, Outcome, Usage
from dmtrigger.senders.contract import Channel, Delivery, Sender

SEND_SECONDS = 30.0  # for the whole call: well before `outbox.STUCK_AFTER` gives the sender up
MOST = 1e6  # percent, or minutes; beyond that it is a mistake
LONGEST_REGAIN = timedelta(days=1)  # the limits are of an hour, so more than that is a mistake

# (code, subcode) before the code alone; what is in neither is refused.
BY_SUBCODE = {
    (1, 1357046): Kind.UNKNOWN,  # "sent, but …"
    (10, 1893063): Kind.RESTRICTED,
    (10, 2018278): Kind.EXPIRED,
    (10, 2534022): Kind.EXPIRED,
    (100, 2534014): Kind.REFUSED,  # no such user
    (100, 2534025): Kind.REPLY_USED,
    (100, 2534029): Kind.REFUSED,  # blocked
    (100, 2534037): Kind.HELD,  # another app owns this thread
    (190, 458): Kind.NEEDS_ACTION,  # the app was removed
    (190, 460): Kind.NEEDS_ACTION,  # the password was changed
    (190, 463): Kind.NEEDS_ACTION,  # the token has expired
    (190, 467): Kind.NEEDS_ACTION,  # the token is invalid
    (200, 2534041): Kind.REFUSED,  # the person takes no messages
    (551, 1545041): Kind.REFUSED,  # the person is not available
}
BY_CODE = (
    dict.fromkeys((4, 17, 32, 613, *range(80001, 80015)), Kind.THROTTLED)
    | {368: Kind.RESTRICTED}
    | dict.fromkeys((10, 102, 190, *range(200, 300)), Kind.NEEDS_ACTION)
    | dict.fromkeys((551, 10900, 10903), Kind.REFUSED)
    | dict.fromkeys((1, 2), Kind.UNKNOWN)
)


def send(delivery: Delivery) -> Outcome:
    """Send the text as the private or the public reply to a comment."""
    if delivery.channel is Channel.PUBLIC_REPLY:
        path = f"/comments/{quote(delivery.comment_id, safe='')}/replies"
        body: dict[str, Any] = {"message": delivery.text}
    else:
        path = "/messages"
        body = {
            "recipient": {"comment_id": delivery.comment_id},
            "message": {"text": delivery.text},
        }
    try:
        answer = request_json(
            "POST",
            f"{settings.FAKE_PLATFORM_URL}{path}",
            seconds=SEND_SECONDS,
            params={"account": delivery.account} if delivery.account else {},
            json=body,
            headers={"Authorization": f"Bearer {settings.FAKE_PLATFORM_TOKEN}"},
        )
    except NeverSentError as error:
        return Outcome(Kind.NOT_DELIVERED, f"the platform cannot be reached: {error}")
    except FetchError as error:
        # Also an error page of whatever stands in between: the platform may have the message.
        return Outcome(Kind.UNKNOWN, f"no usable answer after the request had left: {error}")
    return _read(answer)._replace(usage=read_usage(answer.headers))


def _read(answer: Answer) -> Outcome:
    try:
        if answer.is_success:
            # a public reply is a comment, so what it is given is simply an id
            name = "message_id" if "message_id" in answer.body else "id"
            return Outcome(Kind.SENT, message_id=str(answer.body[name]))
        error = answer.body["error"]
        code, subcode = int(error["code"]), error.get("error_subcode")
        subcode = None if subcode is None else int(subcode)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return Outcome(Kind.UNKNOWN, f"HTTP {answer.status}, not the platform's form")
    detail = f"HTTP {answer.status}, code {code}/{subcode}: {error.get('message', '')}"
    return Outcome(_kind(answer.status, code, subcode), detail)


def _kind(status: int, code: int, subcode: int | None) -> Kind:
    known = BY_SUBCODE.get((code, subcode or 0)) or BY_CODE.get(code)
    return known or (Kind.UNKNOWN if status >= 500 else Kind.REFUSED)


def read_usage(headers: Mapping[str, str]) -> Usage | None:
    """How much of its limits the account has used, by the two headers that Meta sends: the
    fullest counts. None where nothing usable is said; what is broken is as good as not said."""
    counters = [_json(headers.get("X-App-Usage"))]
    business = _json(headers.get("X-Business-Use-Case-Usage"))
    for entries in business.values() if isinstance(business, dict) else ():
        counters += entries if isinstance(entries, list) else []
    counters = [counter for counter in counters if isinstance(counter, dict)]
    names = ("call_count", "total_time", "total_cputime")
    percents = _numbers(counter.get(name) for counter in counters for name in names)
    minutes = _numbers(counter.get("estimated_time_to_regain_access") for counter in counters)
    if not percents and not any(minutes):
        return None
    wait = timedelta(minutes=min(max(minutes, default=0.0), LONGEST_REGAIN / timedelta(minutes=1)))
    return Usage(max(percents, default=100.0), wait or None)


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None


def _numbers(values: Iterable[object]) -> list[float]:
    """Those that are numbers which can be meant: not NaN, nor JSON's true, an int to Python."""
    return [
        float(value)
        for value in values
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST
    ]


SENDER = Sender(
    name="fake_platform",
    channels=frozenset({Channel.DIRECT_MESSAGE, Channel.PUBLIC_REPLY}),
    send=send,
    idempotent=False,
    max_bytes=1_000,
    window=timedelta(days=7),
    hourly_limit=750,
)
