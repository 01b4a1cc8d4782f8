"""Private replies over the fake platform, which answers as Instagram's API does.

The codes are those of Meta's Graph API; docs/platforms.md has the table.
"""

import httpx
from django.conf import settings

from comments.http import http_client
from dmtrigger.retry import Kind, Outcome

NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

# (code, subcode) before the code alone; what is in neither is refused.
BY_SUBCODE = {
    (10, 2534022): Kind.EXPIRED,
    (10, 2018278): Kind.EXPIRED,
    (10, 1893063): Kind.HELD,
    (100, 2534025): Kind.REPLY_USED,
    (100, 2534037): Kind.HELD,
    (200, 2534041): Kind.REFUSED,
}
BY_CODE = (
    dict.fromkeys((4, 17, 32, 613, *range(80001, 80015)), Kind.THROTTLED)
    | dict.fromkeys((10, 102, 190, 368, *range(200, 300)), Kind.HELD)
    | dict.fromkeys((1, 2), Kind.UNKNOWN)
)


def send(comment_id: str, text: str) -> Outcome:
    """Send `text` as the private reply to a comment."""
    try:
        response = http_client().post(
            f"{settings.FAKE_PLATFORM_URL}/messages",
            json={"recipient": {"comment_id": comment_id}, "message": {"text": text}},
            headers={"Authorization": f"Bearer {settings.FAKE_PLATFORM_TOKEN}"},
        )
    except NEVER_LEFT as error:
        return Outcome(Kind.NOT_DELIVERED, f"the platform cannot be reached: {error!r}")
    except httpx.HTTPError as error:
        return Outcome(Kind.UNKNOWN, f"no answer after the request had left: {error!r}")
    return _read(response)


def _read(response: httpx.Response) -> Outcome:
    try:
        body = response.json()
        if response.is_success:
            return Outcome(Kind.SENT, message_id=str(body["message_id"]))
        error = body["error"]
        code, subcode = int(error["code"]), error.get("error_subcode")
        subcode = None if subcode is None else int(subcode)
    except (ValueError, KeyError, TypeError, AttributeError):
        # A success that cannot be read, and an error page of whatever stands in between.
        return Outcome(Kind.UNKNOWN, f"HTTP {response.status_code}, not the platform's form")
    detail = f"HTTP {response.status_code}, code {code}/{subcode}: {error.get('message', '')}"
    return Outcome(_kind(response.status_code, code, subcode), detail)


def _kind(status: int, code: int, subcode: int | None) -> Kind:
    known = BY_SUBCODE.get((code, subcode or 0)) or BY_CODE.get(code)
    return known or (Kind.UNKNOWN if status >= 500 else Kind.REFUSED)
