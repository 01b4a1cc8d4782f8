"""The contract of a source, run over every source there is."""

from collections.abc import Callable

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from comments.parsing import parse_batch
from comments.sources import FetchPage, Page, SourceError, get_source

AddComments = Callable[[str, int], None]


@pytest.fixture(params=["fake_platform"])
def source(request) -> tuple[FetchPage, AddComments]:
    """A source, and how to put comments under a post of its platform."""
    platform = request.getfixturevalue(request.param)

    def add(post_id: str, count: int) -> None:
        for _ in range(count):
            platform.store.add_comment(post_id, text="price?", author="ada")

    return get_source(request.param), add


def read_all(fetch_page: FetchPage, post_id: str, cursor: str = ""):
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
    _, errors = parse_batch(fetch_page("p1", "").items, "p1")
    assert errors == []


def test_what_the_fake_platform_tells_of_an_author_comes_with_the_comment(fake_platform):
    facts = {"author_followers": 12_300, "author_verified": True}
    fake_platform.store.add_comment("p1", text="price?", author="ada", **facts)
    items = get_source("fake_platform")("p1", "").items
    [comment], _ = parse_batch(items, "p1")
    assert (comment.author_followers, comment.author_verified) == (12_300, True)


def test_the_last_cursor_finds_only_what_has_come_since(source):
    fetch_page, add = source
    add("p1", 3)
    _, cursor = read_all(fetch_page, "p1")
    assert read_all(fetch_page, "p1", cursor)[0] == []
    add("p1", 2)
    assert len(read_all(fetch_page, "p1", cursor)[0]) == 2


def test_a_post_without_comments_is_an_empty_page(source):
    fetch_page, _ = source
    assert fetch_page("nothing here", "") == Page([], "", has_next=False)


@pytest.mark.parametrize("post_id", ["a/b", "ä ö", "100%", "?after=x", "#"])
def test_any_post_id_is_asked_for_as_it_is(source, post_id):
    fetch_page, add = source
    add(post_id, 1)
    assert len(fetch_page(post_id, "").items) == 1


@pytest.mark.parametrize("post_id", [".", ".."])
def test_a_post_id_that_is_a_step_in_a_path_is_refused(source, post_id):
    fetch_page, _ = source
    with pytest.raises(SourceError):
        fetch_page(post_id, "")


@pytest.mark.parametrize(
    "page", [{"items": None}, {"cursor": None}, {"cursor": "x" * 501}, {"cursor": "\x00"}]
)
def test_what_cannot_be_a_page_is_a_source_error(page):
    with pytest.raises(SourceError):
        Page(**{"items": [], "cursor": "", "has_next": False} | page)


def test_an_unknown_source_names_those_there_are():
    with pytest.raises(SourceError, match="there are: fake_platform"):
        get_source("myspace")


def test_a_setting_that_names_no_source_is_said_at_the_start(settings):
    settings.COMMENT_SOURCE = "myspace"
    with pytest.raises(SystemCheckError, match="COMMENT_SOURCE: unknown comment source 'myspace'"):
        call_command("check")


def test_a_refusal_of_the_platform_is_a_source_error(source):
    fetch_page, _ = source
    with pytest.raises(SourceError):
        fetch_page("p1", "no cursor of yours")
