"""The HTTP client of the sources and senders: one a process.

It keeps connections open, and sets up TLS once: a client made for each call takes longer for that
than the call itself.
"""

from functools import cache

import httpx

TIMEOUT_SECONDS = 10.0


@cache
def http_client() -> httpx.Client:
    """The client of this process, made at its first use (so never before a worker forks)."""
    return httpx.Client(timeout=TIMEOUT_SECONDS)
