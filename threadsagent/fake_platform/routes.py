"""What each endpoint does. The package's docstring is the contract."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from threadsagent.fake_platform.faults import Fault
from threadsagent.fake_platform.page import SHOWN_MESSAGES, render_page
from threadsagent.fake_platform.store import (
    Comment,
    CommentExistsError,
    ReplyUsedError,
    UnknownCommentError,
    WindowClosedError,
)
from threadsagent.fake_platform.wire import (
    REPLY_IMPOSSIBLE,
    TOKEN_MISSING,
    UNKNOWN_PATH,
    WINDOW_CLOSED,
    WRONG_METHOD,
    ConnectionDroppedError,
    JsonObject,
    PlatformError,
    Request,
    Response,
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
    fault = platform.faults.take()
    if fault is None:
        return _deliver(platform, request)
    if fault.after_delivery:
        with contextlib.suppress(PlatformError):  # the fault hides a refusal like any answer
            _deliver(platform, request)
    if fault.error is not None:
        raise PlatformError(fault.error)
    if fault.hang_seconds is not None:
        platform.stopping.wait(fault.hang_seconds)
    raise ConnectionDroppedError


def _deliver(platform: FakePlatform, request: Request) -> Response:
    scheme, _, token = request.authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise PlatformError(TOKEN_MISSING)
    body = request.json()
    comment_id = read_non_empty(read_object(body.get("recipient"), "recipient"), "comment_id")
    text = read_non_empty(read_object(body.get("message"), "message"), "text")
    if len(text.encode()) > MESSAGE_BYTES:
        raise invalid(f"(text) must be at most {MESSAGE_BYTES} bytes of UTF-8.")
    try:
        message = platform.store.deliver(comment_id, text)
    except (UnknownCommentError, ReplyUsedError) as error:
        raise PlatformError(REPLY_IMPOSSIBLE) from error
    except WindowClosedError as error:
        raise PlatformError(WINDOW_CLOSED) from error
    recipient = hashlib.sha256(message["author"].encode()).hexdigest()[:16]
    return Response({"recipient_id": f"fake_user_{recipient}", "message_id": message["message_id"]})


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


Route = Callable[["FakePlatform", Request], Response]

# The paths are matched as they came, still percent-encoded, so that %2F separates nothing.
ROUTES: tuple[tuple[str, re.Pattern[str], Route], ...] = (
    ("GET", re.compile("/"), _home),
    ("GET", re.compile("/health"), _health),
    ("GET", re.compile("/posts"), _list_posts),
    ("GET", re.compile("/posts/([^/]+)/comments"), _list_comments),
    ("POST", re.compile("/posts/([^/]+)/comments"), _add_comment),
    ("GET", re.compile("/messages"), _list_messages),
    ("POST", re.compile("/messages"), _send_message),
    ("GET", re.compile("/faults"), _list_faults),
    ("POST", re.compile("/faults"), _add_fault),
    ("DELETE", re.compile("/faults"), _clear_faults),
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
