"""The fake platform's HTTP side. The package's docstring says what each endpoint does."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import logging
import re
import secrets
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from threadsagent.fake_platform.store import (
    Comment,
    CommentExistsError,
    Message,
    PostCount,
    ReplyUsedError,
    Store,
    UnknownCommentError,
    WindowClosedError,
)

logger = logging.getLogger(__name__)

MESSAGE_BYTES = 1000  # of UTF-8, not characters
PAGE_DEFAULT = 50
PAGE_MOST = 100
BODY_BYTES = 1024 * 1024
SHOWN_MESSAGES = 100

JsonObject = dict[str, Any]


# --- Errors, in Meta's form


@dataclass(frozen=True)
class MetaError:
    """An error as Meta's Graph API answers it: HTTP status, code and (often) a subcode."""

    status: int
    code: int
    error_subcode: int | None
    message: str

    def body(self) -> JsonObject:
        """The answer's body."""
        error: JsonObject = {"message": self.message, "type": "OAuthException", "code": self.code}
        if self.error_subcode is not None:
            error["error_subcode"] = self.error_subcode
        return {"error": {**error, "fbtrace_id": secrets.token_urlsafe(16)}}


TOKEN_MISSING = MetaError(401, 190, None, "Invalid OAuth access token.")
REPLY_IMPOSSIBLE = MetaError(
    400, 100, 2534025, "The comment is invalid for a private reply, or already has one."
)
WINDOW_CLOSED = MetaError(
    400, 10, 2534022, "This message is sent outside of the allowed window of 7 days."
)
UNKNOWN_PATH = MetaError(404, 2500, None, "Unknown path components.")
WRONG_METHOD = MetaError(405, 100, None, "Unsupported method for this path.")


class PlatformError(Exception):
    """Ends a request with this error as its answer."""

    def __init__(self, error: MetaError) -> None:
        super().__init__(error.message)
        self.error = error


class ConnectionDroppedError(Exception):
    """Ends a request by closing its connection without an answer."""


def _invalid(message: str, status: int = 400) -> PlatformError:
    return PlatformError(MetaError(status, 100, None, message))


# --- Requests and answers


@dataclass(frozen=True)
class Request:
    """One call, as the routes see it."""

    arguments: tuple[str, ...]  # what the path's groups matched, percent-decoded
    query: dict[str, str]
    authorization: str
    base_url: str  # as the caller knows this server: "http://host:port"
    body: bytes

    def json(self) -> JsonObject:
        """The body as a JSON object. Raises PlatformError when it is something else."""
        try:
            body = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise _invalid("The body is not valid JSON.") from error
        return _object(body, "body")


@dataclass(frozen=True)
class Response:
    """An answer: a JSON value, or a page of HTML when ``body`` is a string."""

    body: JsonObject | str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def _object(value: object, name: str) -> JsonObject:
    if not isinstance(value, dict):
        raise _invalid(f"({name}) must be an object.")
    return value


def _string(body: JsonObject, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise _invalid(f"({name}) is required and must be a string.")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can spell
        raise _invalid(f"({name}) is not valid Unicode.") from error
    return value


def _non_empty(body: JsonObject, name: str) -> str:
    value = _string(body, name)
    if not value:
        raise _invalid(f"({name}) must not be empty.")
    return value


def _integer(body: JsonObject, name: str, least: int, most: int) -> int:
    value = body.get(name)
    # JSON's true is an int to Python.
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _invalid(f"({name}) must be an integer from {least} to {most}.")
    return value


def _flag(body: JsonObject, name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise _invalid(f"({name}) must be true or false.")
    return value


def _only(body: JsonObject, *names: str) -> None:
    """Refuses other fields: a fault with a misspelt one would silently test nothing."""
    for name in body:
        if name not in names:
            raise _invalid(f"({name}) is not a known field.")


# --- Faults


@dataclass(frozen=True)
class Fault:
    """What happens to the next ``times`` messages instead of the usual: one of three things."""

    times: int
    after_delivery: bool
    error: MetaError | None = None
    hang_seconds: float | None = None

    @classmethod
    def parse(cls, body: JsonObject) -> Fault:
        """Reads the body of ``POST /faults``. Raises PlatformError."""
        _only(body, "times", "after_delivery", "error", "hang_seconds", "drop_connection")
        kinds = [name for name in ("error", "hang_seconds", "drop_connection") if name in body]
        if len(kinds) != 1:
            raise _invalid("Give one of (error), (hang_seconds) and (drop_connection).")
        fault = cls(_integer(body, "times", 1, 1_000_000), _flag(body, "after_delivery"))
        if "error" in body:
            return replace(fault, error=_fault_error(_object(body["error"], "error")))
        if "hang_seconds" in body:
            return replace(fault, hang_seconds=_fault_seconds(body["hang_seconds"]))
        if not _flag(body, "drop_connection"):
            raise _invalid("(drop_connection) must be true.")
        return fault

    def as_json(self) -> JsonObject:
        """The same form as in ``POST /faults``."""
        kind: JsonObject = {"drop_connection": True}
        if self.error is not None:
            kind = {
                "error": {
                    "status": self.error.status,
                    "code": self.error.code,
                    "error_subcode": self.error.error_subcode,
                    "message": self.error.message,
                }
            }
        elif self.hang_seconds is not None:
            kind = {"hang_seconds": self.hang_seconds}
        return {"times": self.times, **kind, "after_delivery": self.after_delivery}


def _fault_error(body: JsonObject) -> MetaError:
    _only(body, "status", "code", "error_subcode", "message")
    subcode = body.get("error_subcode")
    return MetaError(
        status=_integer(body, "status", 400, 599),
        code=_integer(body, "code", 0, 2**31),
        error_subcode=None if subcode is None else _integer(body, "error_subcode", 0, 2**31),
        message=_string(body, "message") if "message" in body else "An injected fault.",
    )


def _fault_seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid("(hang_seconds) must be a number.")
    if not 0 <= value <= threading.TIMEOUT_MAX:  # NaN is not, either
        raise _invalid("(hang_seconds) must not be negative or beyond what a timer can wait.")
    return float(value)


class FaultQueue:
    """The faults still to come, oldest first; may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: deque[Fault] = deque()

    def add(self, fault: Fault) -> None:
        """Queues a fault behind the others."""
        with self._lock:
            self._faults.append(fault)

    def take(self) -> Fault | None:
        """The fault for the next message, counted down; None when there is none."""
        with self._lock:
            if not self._faults:
                return None
            fault = self._faults.popleft()
            if fault.times > 1:
                self._faults.appendleft(replace(fault, times=fault.times - 1))
            return fault

    def left(self) -> list[Fault]:
        """The faults that are left."""
        with self._lock:
            return list(self._faults)

    def clear(self) -> None:
        """Forgets them all."""
        with self._lock:
            self._faults.clear()


# --- Server


class FakePlatform(ThreadingHTTPServer):
    """The listening server; ``running`` starts and stops one."""

    # Stopping waits for the threads, so that none of them meets a closed store.
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, store: Store, host: str, port: int) -> None:
        """Binds the address; port 0 takes a free one. Raises OSError when it is taken."""
        self.store = store
        self.faults = FaultQueue()
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        """Where it listens: ``http://host:port``."""
        host, port = self.socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def stop(self) -> None:
        """Ends the serving: hangs are cut short, calls under way are answered, idle
        connections closed."""
        self.stopping.set()
        self.shutdown()
        with self._open_lock:
            for connection in self._open:
                # Its thread reads the end of the stream; what it still writes gets out.
                with contextlib.suppress(OSError):  # the caller may be gone already
                    connection.shutdown(socket.SHUT_RD)
        self.server_close()

    # The next two keep track of the open connections for stop().

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs what went wrong in a request; the connection is closed."""
        error = sys.exception()  # called while it is being handled
        if isinstance(error, ConnectionError):
            logger.debug("the caller went away before the answer: %s", error)
        else:
            logger.error("a request failed", exc_info=error)


@contextlib.contextmanager
def running(store: Store, host: str = "127.0.0.1", port: int = 0) -> Iterator[FakePlatform]:
    """Serves the store from a thread until the block ends; port 0 takes a free one.

    Raises OSError when the address cannot be had. The store stays open.
    """
    server = FakePlatform(store, host, port)
    serving = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="fake-platform"
    )
    serving.start()
    try:
        yield server
    finally:
        server.stop()
        serving.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "FakePlatform"
    # Headers and body are two writes; the second must not wait for the first's acknowledgement.
    disable_nagle_algorithm = True
    server: FakePlatform

    def _handle(self) -> None:
        try:
            response = self._answer()
        except PlatformError as failure:
            response = Response(failure.error.body(), failure.error.status)
        except ConnectionDroppedError:
            self.close_connection = True
            return
        self._send(response)

    # The names under which the base class looks for a method's handler.
    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

    def _answer(self) -> Response:
        body = self._read_body()  # first, else it would be read as the connection's next request
        path, _, query = self.path.partition("?")
        route, arguments = _find_route(self.command, path)
        host = self.headers.get("Host")
        try:
            request = Request(
                arguments=tuple(unquote(argument, errors="strict") for argument in arguments),
                query=dict(parse_qsl(query, errors="strict")),
                authorization=self.headers.get("Authorization", ""),
                base_url=f"http://{host}" if host else self.server.url,
                body=body,
            )
        except UnicodeDecodeError as error:
            raise _invalid("The address is not valid UTF-8.") from error
        return route(self.server, request)

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        known = re.fullmatch("[0-9]{1,9}", length) and "Transfer-Encoding" not in self.headers
        if not known or int(length) > BODY_BYTES:
            # The body stays unread, so nothing after it on this connection could be understood.
            self.close_connection = True
            raise _invalid(f"Send a Content-Length of at most {BODY_BYTES} bytes.", status=413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionDroppedError
        return body

    def _send(self, response: Response) -> None:
        if isinstance(response.body, str):
            kind, content = "text/html", response.body
        else:
            kind, content = "application/json", json.dumps(response.body)
        payload = content.encode()
        if self.server.stopping.is_set():
            self.close_connection = True
        self.send_response(response.status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(payload)))
        for name, value in response.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        logger.debug(format, *args)


# --- Routes


def _health(_platform: FakePlatform, _request: Request) -> Response:
    return Response({"status": "ok"})


def _home(platform: FakePlatform, _request: Request) -> Response:
    page = _page(platform.store.posts(), platform.store.newest_messages(SHOWN_MESSAGES))
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return Response(page, headers={"Content-Security-Policy": policy})


def _list_posts(platform: FakePlatform, _request: Request) -> Response:
    return Response({"data": platform.store.posts()})


def _add_comment(platform: FakePlatform, request: Request) -> Response:
    body = request.json()
    try:
        comment = platform.store.add_comment(
            request.arguments[0],
            _string(body, "text"),  # may be empty: a comment can be just a sticker
            _non_empty(body, "author"),
            comment_id=_non_empty(body, "id") if "id" in body else None,
            timestamp=_moment(body, "timestamp") if "timestamp" in body else None,
        )
    except CommentExistsError as error:
        raise _invalid("There is already a comment with this (id).", status=409) from error
    return Response({**comment}, status=201)


def _moment(body: JsonObject, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_string(body, name))
        if moment.tzinfo is None:
            raise _invalid(f"({name}) needs a UTC offset or Z.")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # overflow: in UTC it is year 0 or 10000
        raise _invalid(f"({name}) is not an ISO 8601 time.") from error


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
        raise _invalid(f"(limit) must be an integer from 1 to {PAGE_MOST}.")
    return int(text)


def _cursor(place: int) -> str:
    # Twelve digits make sixteen characters without padding, safe in an address as they are.
    return base64.urlsafe_b64encode(f"{place:012}".encode()).decode()


def _cursor_place(cursor: str) -> int:
    try:
        digits = base64.b64decode(cursor, altchars=b"-_", validate=True)
    except ValueError as error:
        raise _invalid("Invalid cursor in (after).") from error
    if not re.fullmatch(rb"[0-9]{12}", digits):
        raise _invalid("Invalid cursor in (after).")
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
    comment_id = _non_empty(_object(body.get("recipient"), "recipient"), "comment_id")
    text = _non_empty(_object(body.get("message"), "message"), "text")
    if len(text.encode()) > MESSAGE_BYTES:
        raise _invalid(f"(text) must be at most {MESSAGE_BYTES} bytes of UTF-8.")
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


Route = Callable[[FakePlatform, Request], Response]

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


def _find_route(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    error = UNKNOWN_PATH
    for route_method, pattern, route in ROUTES:
        match = pattern.fullmatch(path)
        if match and route_method == method:
            return route, match.groups()
        if match:
            error = WRONG_METHOD
    raise PlatformError(error)


# --- The page for people

_STYLE = """
:root { color-scheme: light dark; --text: #1c2530; --soft: #5c6875; --line: #dde3ea;
  --card: #fff; --back: #f3f6f9; --accent: #0b6b57; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e9ee; --soft: #98a5b3; --line: #2b3542;
  --card: #18202a; --back: #10161d; --accent: #6fd3b8; } }
body { margin: 0 auto; max-width: 70rem; padding: 2rem 1rem; background: var(--back);
  color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; }
p { margin: .25rem 0; color: var(--soft); }
.card { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .55rem .9rem; text-align: start; vertical-align: top; }
th { color: var(--soft); font-size: .8rem; font-weight: 600; white-space: nowrap; }
td { border-top: 1px solid var(--line); overflow-wrap: anywhere; white-space: pre-wrap; }
td.number { font-variant-numeric: tabular-nums; }
time { white-space: nowrap; color: var(--soft); }
a { color: var(--accent); }
"""


_MESSAGE_HEADS = ("Received (UTC)", "Post", "To", "Comment", "Message")


def _page(posts: list[PostCount], messages: list[Message]) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5">
<title>Fake platform</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Fake platform</h1>
<p>Stands in for the social platform. Nothing here reaches a real person.</p>
<h2>Posts</h2>
{_table(("Post", "Comments"), [_post_cells(post) for post in posts], "No comments yet.")}
<h2>Private messages, newest {SHOWN_MESSAGES}</h2>
{_table(_MESSAGE_HEADS, [_message_cells(message) for message in messages], "No messages yet.")}
</body>
</html>
"""


def _table(heads: tuple[str, ...], rows: list[str], empty: str) -> str:
    """A table of ready cells, or the line ``empty`` when there are no rows."""
    if not rows:
        return f"<p>{empty}</p>"
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "\n".join(f"<tr>{cells}</tr>" for cells in rows)
    return (
        f'<div class="card"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _post_cells(post: PostCount) -> str:
    address = f"/posts/{quote(post['post_id'], safe='')}/comments"
    return (
        f'<td dir="auto"><a href="{escape(address)}">{escape(post["post_id"])}</a></td>'
        f'<td class="number">{post["comments"]}</td>'
    )


def _message_cells(message: Message) -> str:
    # dir="auto": each text keeps its own direction, whatever the script.
    texts = (message["post_id"], message["author"], message["comment_text"], message["text"])
    cells = "".join(f'<td dir="auto">{escape(text)}</td>' for text in texts)
    at = message["received_at"]
    return f'<td><time datetime="{at}">{at[:10]} {at[11:19]}</time></td>{cells}'
