"""The contract of a source, run over every source there is."""

from collections.abc import Callable

import pytest

from comments.parsing import parse_batch
from comments.sources import FetchPage, SourceError, get_source

AddComments = Callable[[str, int], None]


@pytest.fixture(params=["fake_platform"])
def source(request) -> tuple[FetchPage, AddComments]:
    """A source, and how to put comments under a post of its platform."""
    platform = request.getfixturevalue(request.param)

    def add(post_id: str, count: int) -> None:
        for _ in range(count):
            platform.store.add_comment(post_id, text="price?", author="ada")

    return get_source(request.param), add


def read_all(fetch_page: FetchPage, post_id: str, cursor: str | None = None):
    items, has_next = [], True
    while has_next:
        page = fetch_page(post_id, cursor)
        items += page.items
        cursor, has_next = page.cursor, page.has_next
    return items, cursor


def test_the_pages_together_have_every_comment_once_and_in_order(source):
    fetch_page, add = source
    add("p1", 250)
    items, _ = read_all(fetch_page, "p1")
    assert len({item["id"] for item in items}) == len(items) == 250
    assert items == sorted(items, key=lambda item: item["timestamp"])


def test_what_a_source_gives_can_be_ingested(source):
    fetch_page, add = source
    add("p1", 1)
    _, errors = parse_batch(fetch_page("p1", None).items, "p1")
    assert errors == []


def test_the_last_cursor_finds_only_what_has_come_since(source):
    fetch_page, add = source
    add("p1", 3)
    _, cursor = read_all(fetch_page, "p1")
    assert read_all(fetch_page, "p1", cursor)[0] == []
    add("p1", 2)
    assert len(read_all(fetch_page, "p1", cursor)[0]) == 2


def test_a_post_without_comments_is_an_empty_page(source):
    fetch_page, _ = source
    assert fetch_page("nothing here", None) == ([], None, False)


@pytest.mark.parametrize("post_id", ["a/b", "ä ö", "100%", "?after=x", "#"])
def test_any_post_id_is_asked_for_as_it_is(source, post_id):
    fetch_page, add = source
    add(post_id, 1)
    assert len(fetch_page(post_id, None).items) == 1


def test_a_refusal_of_the_platform_is_a_source_error(source):
    fetch_page, _ = source
    with pytest.raises(SourceError):
        fetch_page("p1", "no cursor of yours")
