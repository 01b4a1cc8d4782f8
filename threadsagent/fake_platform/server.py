"""The fake platform's HTTP server: connections, bodies, answers. `routes` says what is answered."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote

from threadsagent.fake_platform.chaos import Chaos
from threadsagent.fake_platform.faults import FaultQueue
from threadsagent.fake_platform.routes import find_route
from threadsagent.fake_platform.store import Store
from threadsagent.fake_platform.webhooks import Webhooks, WebhookTarget, pushing
from threadsagent.fake_platform.wire import (
    ConnectionDroppedError,
    PlatformError,
    Request,
    Response,
    invalid,
)

logger = logging.getLogger(__name__)

BODY_BYTES = 1024 * 1024
HOURLY_LIMIT = 750  # messages of an account, as Instagram's private replies have it


class FakePlatform(ThreadingHTTPServer):
    """The listening server; ``running`` starts and stops one."""

    # Stopping waits for the threads, so that none of them meets a closed store.
    daemon_threads = False
    request_queue_size = 128

    def __init__(
        self,
        store: Store,
        host: str,
        port: int,
        *,
        hourly_limit: int = HOURLY_LIMIT,
        chaos: Chaos | None = None,
        webhooks: Webhooks | None = None,
    ) -> None:
        """Binds the address; port 0 takes a free one. Raises OSError when it is taken."""
        self.store = store
        self.faults = FaultQueue()
        self.hourly_limit = hourly_limit
        self.chaos = chaos
        self.webhooks = webhooks
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
def running(
    store: Store,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    hourly_limit: int = HOURLY_LIMIT,
    chaos: Chaos | None = None,
    webhook: WebhookTarget | None = None,
) -> Iterator[FakePlatform]:
    """Serves the store from a thread until the block ends; port 0 takes a free one.

    ``hourly_limit`` is an account's messages in any hour (0: no limit), ``chaos`` what happens to
    them by chance, ``webhook`` who is told of private messages. Raises OSError when the address
    cannot be had. The store stays open.
    """
    with contextlib.ExitStack() as stack:
        server = FakePlatform(
            store,
            host,
            port,
            hourly_limit=hourly_limit,
            chaos=chaos,
            webhooks=stack.enter_context(pushing(webhook)) if webhook else None,
        )
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
        route, arguments = find_route(self.command, path)
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
            raise invalid("The address is not valid UTF-8.") from error
        return route(self.server, request)

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        known = re.fullmatch("[0-9]{1,9}", length) and "Transfer-Encoding" not in self.headers
        if not known or int(length) > BODY_BYTES:
            # The body stays unread, so nothing after it on this connection could be understood.
            self.close_connection = True
            raise invalid(f"Send a Content-Length of at most {BODY_BYTES} bytes.", status=413)
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
