"""Where comments are fetched from. A source is one function; add yours to `SOURCES`.

A source knows the platform and nothing of our tables: it turns one page of a post's comments
into items as `comments.ingest` takes them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Page(NamedTuple):
    """One page, oldest comment first.

    `cursor` is where the next call goes on; after the last page it stays valid and finds what
    has come since. None when the post has no comment yet.
    """

    items: list[Any]
    cursor: str | None
    has_next: bool


class SourceError(Exception):
    """The platform did not give the page; the text says why, fit for an operator to read."""


FetchPage = Callable[[str, str | None], Page]  # (post_id, cursor) -> Page, or SourceError


def get_source(name: str) -> FetchPage:
    """The source of that name; ValueError names those there are."""
    from comments.sources import fake_platform

    sources: dict[str, FetchPage] = {"fake_platform": fake_platform.fetch_page}
    if name not in sources:
        raise ValueError(f"unknown comment source {name!r}; there are: {', '.join(sources)}")
    return sources[name]
