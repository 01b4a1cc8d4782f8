"""`/metrics` and `/health/live` of workers and beat, which serve no HTTP otherwise.

On the port METRICS_PORT, in a thread of the first process. Children are forked while it runs, so it
counts nothing and asks no service: a lock that it held would never be free in a new child.
"""

import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.exposition import ThreadingWSGIServer

from threadsagent.metrics import processes
from threadsagent.metrics.view import has_token

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

STILL_SECONDS = 60
"""A loop that has not turned for so long hangs."""


class Pulse:
    """When the process's loop turned last. One that waits for its broker need not turn: it is
    alive, and a restart would not bring the broker back."""

    def __init__(self) -> None:
        self._turned_at: float | None = None

    def turned(self) -> None:
        self._turned_at = time.monotonic()

    def rest(self) -> None:
        """It is not expected to turn until it does."""
        self._turned_at = None

    @property
    def is_alive(self) -> bool:
        return self._turned_at is None or time.monotonic() - self._turned_at < STILL_SECONDS


pulse = Pulse()
_servers: list[ThreadingWSGIServer] = []


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Probes and scrapes are no news."""


def start() -> None:
    """Serve, if METRICS_PORT is set. Raises OSError when the port is taken."""
    if settings.METRICS_PORT is None:
        return
    address = "0.0.0.0"  # noqa: S104 -- who asks is in another container
    server = make_server(address, settings.METRICS_PORT, answer, ThreadingWSGIServer, _Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _servers.append(server)


def let_go() -> None:
    """In a forked child: the port is the parent's, and free as soon as that ends."""
    for server in _servers:
        server.socket.close()
    _servers.clear()


def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """The WSGI application."""
    status, kind, body = HTTPStatus.NOT_FOUND, "text/plain", b"there is /metrics and /health/live\n"
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        status, body = HTTPStatus.METHOD_NOT_ALLOWED, b""
    elif environ["PATH_INFO"] == "/health/live":
        status, kind, body = _live()
    elif environ["PATH_INFO"] == "/metrics":
        status, kind, body = _metrics(environ.get("HTTP_AUTHORIZATION", ""))
    start_response(f"{status.value} {status.phrase}", [("Content-Type", kind)])
    return [body]


def _live() -> tuple[HTTPStatus, str, bytes]:
    if pulse.is_alive:
        return HTTPStatus.OK, "application/json", b'{"status": "ok"}'
    return HTTPStatus.SERVICE_UNAVAILABLE, "application/json", b'{"status": "hangs"}'


def _metrics(authorization: str) -> tuple[HTTPStatus, str, bytes]:
    if not has_token(authorization):
        return HTTPStatus.FORBIDDEN, "text/plain", b"give METRICS_TOKEN as a bearer token\n"
    return HTTPStatus.OK, CONTENT_TYPE_LATEST, processes.text()
