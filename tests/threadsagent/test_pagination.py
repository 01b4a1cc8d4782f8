"""Lists come in pages, from the newest row on or from the oldest."""

import pytest

from tests.factories import CommentFactory, ReviewFactory
from threadsagent.pagination import NewestFirst

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(api_of):
    return api_of("comments.view_comment", "intents.view_review")


def read_all(api, url: str, link: str = "next") -> list[list[int]]:
    """The ids of each page, as the links lead from one to the other."""
    pages = []
    while url:
        body = api.get(url).json()
        pages.append([row["id"] for row in body["results"]])
        url = body[link]
    return pages


@pytest.mark.parametrize("query", ["", "&ordering=newest"])
def test_the_newest_come_first(api, query):
    first, second, third = [CommentFactory().pk for _ in range(3)]
    assert read_all(api, f"/comments?limit=2{query}") == [[third, second], [first]]


def test_the_oldest_come_first_where_that_is_asked_for(api):
    first, second, third = [ReviewFactory().pk for _ in range(3)]
    assert read_all(api, "/reviews?limit=2&ordering=oldest") == [[first, second], [third]]
    last = api.get("/reviews?limit=2&ordering=oldest").json()["next"]
    assert read_all(api, last, "previous") == [[third], [first, second]]


def test_rows_that_come_in_meanwhile_are_read_from_the_oldest_on(api):
    first = CommentFactory().pk
    second = CommentFactory().pk
    following = api.get("/comments?limit=1&ordering=oldest").json()["next"]
    third = CommentFactory().pk
    assert read_all(api, following) == [[second], [third]]
    assert first < second < third


@pytest.mark.parametrize("word", ["", "id", "-pk", "newest,oldest"])
def test_another_order_is_a_400(api, word):
    answer = api.get("/comments", {"ordering": word})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["ordering"]


def test_a_page_has_as_many_rows_as_asked_for_up_to_the_most(api, monkeypatch):
    monkeypatch.setattr(NewestFirst, "max_page_size", 2)
    for _ in range(3):
        CommentFactory()
    assert [len(page) for page in read_all(api, "/comments?limit=1")] == [1, 1, 1]
    assert [len(page) for page in read_all(api, "/comments?limit=9")] == [2, 1]


@pytest.mark.parametrize("number", ["", "0", "-1", "1.5", "null", "many"])
def test_a_limit_that_is_no_number_of_rows_is_a_400(api, number):
    answer = api.get("/comments", {"limit": number})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["limit"]
