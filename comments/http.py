"""HTTP for the sources and senders: one client of a kind in each process.

A client keeps connections open, and sets up TLS once: one made for each call takes longer for
that than the call itself.
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
from typing import Any

import httpx
from django.conf import settings

TIMEOUT_SECONDS = 10.0  # for a connection, and for each read
MAX_ANSWER_BYTES = 10 * 1024 * 1024

_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


class FetchError(Exception):
    """There is no answer that can be used; the text says why."""


@cache
def http_client() -> httpx.Client:
    """The client of this process, made at its first use (so never before a worker forks)."""
    return httpx.Client(timeout=TIMEOUT_SECONDS)


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
    says; an answer of more than `MAX_ANSWER_BYTES` is refused as soon as it is.
    """
    seconds = min(_deadline.get() - time.monotonic(), settings.PROCESSING_TIMEOUT)
    loop, client = _event_loop()
    try:
        body = asyncio.run_coroutine_threadsafe(_get(client, url, params, seconds), loop).result()
        return json.loads(body)
    except TimeoutError as error:
        raise FetchError(f"no complete answer within {max(seconds, 0):.1f} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchError(repr(error)) from error
    except (ValueError, RecursionError) as error:
        raise FetchError(f"the answer is no JSON: {error!r}") from error


@cache
def _event_loop() -> tuple[asyncio.AbstractEventLoop, httpx.AsyncClient]:
    """An event loop in a thread of its own, and its client.

    The time-outs of a blocking call are for each read, so a platform that sends a byte now and
    then would hold its caller for good. A task of asyncio can be cut off wherever it is.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="http", daemon=True).start()
    return loop, httpx.AsyncClient(timeout=TIMEOUT_SECONDS)


async def _get(
    client: httpx.AsyncClient, url: str, params: Mapping[str, str], seconds: float
) -> bytes:
    body = bytearray()
    async with asyncio.timeout(seconds), client.stream("GET", url, params=params) as response:
        response.raise_for_status()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise FetchError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)
