"""HTTP for the sources and senders: one client in each process.

It keeps connections open, and sets up TLS once: one made for each call takes longer for that than
the call itself.
"""

import asyncio
import json
import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple

import httpx
from django.conf import settings

TIMEOUT_SECONDS = 10.0  # for a connection, and for each read
MAX_ANSWER_BYTES = 10 * 1024 * 1024
NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)

_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


class FetchError(Exception):
    """There is no answer that can be used; the text says why."""


class NeverSentError(FetchError):
    """The request did not leave, for certain: there was no connection."""


class Answer(NamedTuple):
    """An answer of whatever status."""

    status: int
    body: Any
    """Decoded, or bytes where somebody asked for them."""
    headers: Mapping[str, str]
    """Found by their names in any case."""

    @property
    def is_success(self) -> bool:
        return httpx.codes.is_success(self.status)


@contextmanager
def requests_end_by(moment: float) -> Iterator[None]:
    """Calls of `get_json` in the block are over at `moment`, a time of `time.monotonic()`."""
    before = _deadline.set(moment)
    try:
        yield
    finally:
        _deadline.reset(before)


def get_json(url: str, params: Mapping[str, str]) -> Any:
    """What `GET url` answers, decoded. Raises FetchError, also for a status that is no success.

    The whole call takes `PROCESSING_TIMEOUT` seconds at most, and ends when `requests_end_by`
    says.
    """
    seconds = min(_deadline.get() - time.monotonic(), settings.PROCESSING_TIMEOUT)
    answer = request_json("GET", url, seconds=seconds, params=params)
    if not answer.is_success:
        raise FetchError(f"HTTP {answer.status}")
    return answer.body


def request_json(method: str, url: str, *, seconds: float, **content: Any) -> Answer:
    """The answer to a request, decoded; otherwise like `request`."""
    answer = request(method, url, seconds=seconds, **content)
    try:
        return answer._replace(body=json.loads(answer.body))
    except (ValueError, RecursionError) as error:
        raise FetchError(f"HTTP {answer.status}, the answer is no JSON: {error!r}") from error


def request(
    method: str, url: str, *, seconds: float, most_bytes: int | None = None, **content: Any
) -> Answer:
    """The answer to a request; `content` is what httpx takes: `params`, `json`, `headers`.

    The whole call takes `seconds` at most; an answer of more than `most_bytes` (at first
    `MAX_ANSWER_BYTES`) is refused as soon as it is. No redirect is followed. Raises NeverSentError,
    and FetchError where the request may have arrived.
    """
    loop, client = _event_loop()
    call = _request(client, method, url, seconds, most_bytes or MAX_ANSWER_BYTES, content)
    try:
        return asyncio.run_coroutine_threadsafe(call, loop).result()
    except TimeoutError as error:
        raise FetchError(f"no complete answer within {max(seconds, 0):.1f} s") from error
    except NEVER_SENT as error:
        raise NeverSentError(repr(error)) from error
    except (httpx.HTTPError, UnicodeError) as error:
        raise FetchError(repr(error)) from error


@cache
def _event_loop() -> tuple[asyncio.AbstractEventLoop, httpx.AsyncClient]:
    """An event loop in a thread of its own, and its client, both made at their first use (so
    never before a worker forks).

    The time-outs of a blocking call are for each read, so a platform that sends a byte now and
    then would hold its caller for good. A task of asyncio can be cut off wherever it is.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="http", daemon=True).start()
    return loop, httpx.AsyncClient(timeout=TIMEOUT_SECONDS)


async def _request(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    seconds: float,
    most_bytes: int,
    content: Mapping[str, Any],
) -> Answer:
    body = bytearray()
    async with asyncio.timeout(seconds), client.stream(method, url, **content) as response:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > most_bytes:
                raise FetchError(f"the answer is larger than {most_bytes} bytes")
    return Answer(response.status_code, bytes(body), response.headers)
