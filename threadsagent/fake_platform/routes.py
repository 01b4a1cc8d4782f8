"""What each endpoint does. The package's docstring is the contract."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from threadsagent.fake_platform.chaos import Chaos
from threadsagent.fake_platform.faults import Fault
from threadsagent.fake_platform.page import SHOWN_MESSAGES, render_page
from threadsagent.fake_platform.store import (
    HOUR,
    Comment,
    CommentExistsError,
    Message,
    OverLimitError,
    ReplyUsedError,
    UnknownCommentError,
    WindowClosedError,
)
from threadsagent.fake_platform.webhooks import ACCOUNT, answer, echo, user_id
from threadsagent.fake_platform.wire import (
    REPLY_IMPOSSIBLE,
    THROTTLED,
    TOKEN_MISSING,
    UNKNOWN_PATH,
    WINDOW_CLOSED,
    WRONG_METHOD,
    ConnectionDroppedError,
    JsonObject,
    PlatformError,
    Request,
    Response,
    allow_only,
    invalid,
    read_flag,
    read_integer,
    read_non_empty,
    read_object,
    read_string,
)

if TYPE_CHECKING:
    from threadsagent.fake_platform.server import FakePlatform

MESSAGE_BYTES = 1000  # of UTF-8, not characters
MOST_FOLLOWERS = 2**31 - 1
PAGE_DEFAULT = 50
PAGE_MOST = 100

Route = Callable[["FakePlatform", Request], Response]


def _health(_platform: FakePlatform, _request: Request) -> Response:
    return Response({"status": "ok"})


def _home(platform: FakePlatform, _request: Request) -> Response:
    page = render_page(platform.store.posts(), platform.store.newest_messages(SHOWN_MESSAGES))
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return Response(page, headers={"Content-Security-Policy": policy})


def _list_posts(platform: FakePlatform, _request: Request) -> Response:
    return Response({"data": platform.store.posts()})


def _add_comment(platform: FakePlatform, request: Request) -> Response:
    body = request.json()
    try:
        comment = platform.store.add_comment(
            request.arguments[0],
            read_string(body, "text"),  # may be empty: a comment can be just a sticker
            read_non_empty(body, "author"),
            comment_id=read_non_empty(body, "id") if "id" in body else None,
            timestamp=_moment(body, "timestamp") if "timestamp" in body else None,
            author_followers=_followers(body),
            author_verified=read_flag(body, "author_verified"),
        )
    except CommentExistsError as error:
        raise invalid("There is already a comment with this (id).", status=409) from error
    return Response({**comment}, status=201)


def _moment(body: JsonObject, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(read_string(body, name))
        if moment.tzinfo is None:
            raise invalid(f"({name}) needs a UTC offset or Z.")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # overflow: in UTC it is year 0 or 10000
        raise invalid(f"({name}) is not an ISO 8601 time.") from error


def _followers(body: JsonObject) -> int | None:
    if body.get("author_followers") is None:
        return None
    return read_integer(body, "author_followers", 0, MOST_FOLLOWERS)


def _list_comments(platform: FakePlatform, request: Request) -> Response:
    post_id = request.arguments[0]
    cursor = request.query.get("after")
    limit = _page_limit(request.query.get("limit", str(PAGE_DEFAULT)))
    page = platform.store.comments(post_id, _cursor_place(cursor) if cursor else 0, limit)
    if page.last is not None:
        cursor = _cursor(page.last)
    paging: JsonObject = {"cursors": {"after": cursor}} if cursor else {}
    if page.more:
        query = urlencode({"after": cursor, "limit": limit})
        paging["next"] = f"{request.base_url}/posts/{quote(post_id, safe='')}/comments?{query}"
    return Response({"data": [_listed(comment) for comment in page.comments], "paging": paging})


def _listed(comment: Comment) -> JsonObject:
    return {name: value for name, value in comment.items() if name != "post_id"}


def _page_limit(text: str) -> int:
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= PAGE_MOST:
        raise invalid(f"(limit) must be an integer from 1 to {PAGE_MOST}.")
    return int(text)


def _cursor(place: int) -> str:
    # Twelve digits make sixteen characters without padding, safe in an address as they are.
    return base64.urlsafe_b64encode(f"{place:012}".encode()).decode()


def _cursor_place(cursor: str) -> int:
    try:
        digits = base64.b64decode(cursor, altchars=b"-_", validate=True)
    except ValueError as error:
        raise invalid("Invalid cursor in (after).") from error
    if not re.fullmatch(rb"[0-9]{12}", digits):
        raise invalid("Invalid cursor in (after).")
    return int(digits)


def _send_message(platform: FakePlatform, request: Request) -> Response:
    return _send(platform, request, _direct_message)


def _send_reply(platform: FakePlatform, request: Request) -> Response:
    return _send(platform, request, _public_reply)


def _send(platform: FakePlatform, request: Request, deliver: Route) -> Response:
    """The answer to a message, whatever the channel, with how much of the limit is used."""
    try:
        response = _or_fault(platform, request, deliver)
    except PlatformError as failure:
        response = Response(failure.error.body(), failure.error.status)
    account = _account(request)
    return replace(response, headers=usage_headers(platform, account))


def _or_fault(platform: FakePlatform, request: Request, deliver: Route) -> Response:
    fault = platform.faults.take()
    if fault is None and platform.chaos is not None:
        fault = platform.chaos.draw()
    if fault is None:
        return deliver(platform, request)
    if fault.after_delivery:
        with contextlib.suppress(PlatformError):  # the fault hides a refusal like any answer
            deliver(platform, request)
    if fault.error is not None:
        raise PlatformError(fault.error)
    if fault.hang_seconds is not None:
        platform.stopping.wait(fault.hang_seconds)
    raise ConnectionDroppedError


def _direct_message(platform: FakePlatform, request: Request) -> Response:
    _check_token(request)
    body = request.json()
    comment_id = read_non_empty(read_object(body.get("recipient"), "recipient"), "comment_id")
    text = _text(read_object(body.get("message"), "message"), "text")
    message = _deliver(platform, request, comment_id, text, "direct_message")
    author, message_id = message["author"], message["message_id"]
    if platform.webhooks is not None:
        platform.webhooks.put(echo(message["account"], author, message_id, text))
    return Response({"recipient_id": user_id(author), "message_id": message_id})


def _public_reply(platform: FakePlatform, request: Request) -> Response:
    _check_token(request)
    text = _text(request.json(), "message")
    message = _deliver(platform, request, request.arguments[0], text, "public_reply")
    return Response({"id": message["message_id"]})


def _check_token(request: Request) -> None:
    scheme, _, token = request.authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise PlatformError(TOKEN_MISSING)


def _text(body: JsonObject, name: str) -> str:
    text = read_non_empty(body, name)
    if len(text.encode()) > MESSAGE_BYTES:
        raise invalid(f"({name}) must be at most {MESSAGE_BYTES} bytes of UTF-8.")
    return text


def _account(request: Request) -> str:
    return request.query.get("account", "")


def _deliver(
    platform: FakePlatform, request: Request, comment_id: str, text: str, channel: str
) -> Message:
    try:
        return platform.store.deliver(
            comment_id,
            text,
            channel=channel,
            account=_account(request),
            hourly_limit=platform.hourly_limit,
        )
    except OverLimitError as error:
        raise PlatformError(THROTTLED) from error
    except (UnknownCommentError, ReplyUsedError) as error:
        raise PlatformError(REPLY_IMPOSSIBLE) from error
    except WindowClosedError as error:
        raise PlatformError(WINDOW_CLOSED) from error


def usage_headers(platform: FakePlatform, account: str) -> dict[str, str]:
    """How much of its hour the account has used, in Meta's two headers; none without a limit."""
    limit = platform.hourly_limit
    if not limit:
        return {}
    usage = platform.store.usage(account)
    counters = {"call_count": 100 * usage.sent // limit, "total_cputime": 0, "total_time": 0}
    minutes = 0
    if usage.sent >= limit and usage.oldest is not None:
        left = usage.oldest + HOUR - datetime.now(UTC)
        minutes = max(1, math.ceil(left / timedelta(minutes=1)))
    business = {"type": "messenger", **counters, "estimated_time_to_regain_access": minutes}
    return {
        "X-App-Usage": json.dumps(counters),
        "X-Business-Use-Case-Usage": json.dumps({account or ACCOUNT: [business]}),
    }


def _write_to_us(platform: FakePlatform, request: Request) -> Response:
    body = request.json()
    allow_only(body, "comment_id", "author", "text")
    text = read_non_empty(body, "text")
    if platform.webhooks is None:
        raise invalid("There is no webhook that could be told.")
    if "comment_id" in body:
        try:
            author = platform.store.author_of(read_non_empty(body, "comment_id"))
        except UnknownCommentError as error:
            raise invalid("There is no comment with this (comment_id).") from error
    else:
        author = read_non_empty(body, "author")
    message_id = f"fake_answer_{secrets.token_hex(8)}"
    platform.webhooks.put(answer(author, message_id, text))
    return Response({"message_id": message_id}, status=201)


def _list_messages(platform: FakePlatform, request: Request) -> Response:
    return Response({"data": platform.store.messages(request.query.get("comment_id"))})


def _add_fault(platform: FakePlatform, request: Request) -> Response:
    fault = Fault.parse(request.json())
    platform.faults.add(fault)
    return Response(fault.as_json(), status=201)


def _list_faults(platform: FakePlatform, _request: Request) -> Response:
    return Response({"data": [fault.as_json() for fault in platform.faults.left()]})


def _clear_faults(platform: FakePlatform, request: Request) -> Response:
    platform.faults.clear()
    return _list_faults(platform, request)


def _set_chaos(platform: FakePlatform, request: Request) -> Response:
    platform.chaos = Chaos.parse(request.json())
    return _show_chaos(platform, request)


def _show_chaos(platform: FakePlatform, _request: Request) -> Response:
    return Response(platform.chaos.as_json() if platform.chaos else {"faults": []})


def _end_chaos(platform: FakePlatform, request: Request) -> Response:
    platform.chaos = None
    return _show_chaos(platform, request)


# The paths are matched as they came, still percent-encoded, so that %2F separates nothing.
ROUTES: tuple[tuple[str, re.Pattern[str], Route], ...] = (
    ("GET", re.compile("/"), _home),
    ("GET", re.compile("/health"), _health),
    ("GET", re.compile("/posts"), _list_posts),
    ("GET", re.compile("/posts/([^/]+)/comments"), _list_comments),
    ("POST", re.compile("/posts/([^/]+)/comments"), _add_comment),
    ("GET", re.compile("/messages"), _list_messages),
    ("POST", re.compile("/messages"), _send_message),
    ("POST", re.compile("/comments/([^/]+)/replies"), _send_reply),
    ("POST", re.compile("/inbox"), _write_to_us),
    ("GET", re.compile("/faults"), _list_faults),
    ("POST", re.compile("/faults"), _add_fault),
    ("DELETE", re.compile("/faults"), _clear_faults),
    ("GET", re.compile("/chaos"), _show_chaos),
    ("PUT", re.compile("/chaos"), _set_chaos),
    ("DELETE", re.compile("/chaos"), _end_chaos),
)


def find_route(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """The endpoint of a path, still percent-encoded, and what its groups matched.

    Raises PlatformError for an unknown path or another method.
    """
    error = UNKNOWN_PATH
    for route_method, pattern, route in ROUTES:
        match = pattern.fullmatch(path)
        if match and route_method == method:
            return route, match.groups()
        if match:
            error = WRONG_METHOD
    raise PlatformError(error)
