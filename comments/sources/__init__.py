"""Where comments are fetched from. A source is one function; add yours to `get_source`.

A source knows the platform and nothing of our tables: it turns one page of a post's comments
into items as `comments.ingest` takes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_CURSOR_LENGTH = 500  # characters, the column that keeps it


class SourceError(Exception):
    """The platform did not give the page; the text says why, fit for an operator to read."""


@dataclass(frozen=True)
class Page:
    """One page, oldest comment first. Raises SourceError for what cannot be one.

    `cursor` is where the next call goes on; after the last page it stays valid and finds what
    has come since. Empty when the post has no comment yet.
    """

    items: list[Any]
    cursor: str
    has_next: bool

    def __post_init__(self) -> None:
        if not isinstance(self.items, list):
            raise SourceError("the page has no list of comments")
        usable = isinstance(self.cursor, str) and self.cursor.isprintable()  # so it can be stored
        if not usable or len(self.cursor) > MAX_CURSOR_LENGTH:
            raise SourceError("the page's cursor cannot be used")


FetchPage = Callable[[str, str], Page]  # (post_id, cursor, at first empty) -> Page, or SourceError


def get_source(name: str) -> FetchPage:
    """The source of that name; SourceError names those there are."""
    from comments.sources import fake_platform

    sources: dict[str, FetchPage] = {"fake_platform": fake_platform.fetch_page}
    if name not in sources:
        raise SourceError(f"unknown comment source {name!r}; there are: {', '.join(sources)}")
    return sources[name]
