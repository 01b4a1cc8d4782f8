"""Comments by the words in them."""

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comments import partitions, search, views
from comments.models import Comment
from comments.tasks import maintain_partitions
from tests.factories import CommentFactory

pytestmark = pytest.mark.django_db

TEXTS = (
    "Where can I buy the red backpack?",
    "Red shoes, please!",
    "BACKPACK in blue",
    "¿Dónde compro la mochila?",
    "Купить можно где?",
)


@pytest.fixture
def api(api_of):
    for text in TEXTS:
        CommentFactory(text=text)
    return api_of("comments.view_comment")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("backpack", {0, 2}),
        ("red backpack", {0}),
        ("backpack -red", {2}),
        ("shoes or mochila", {1, 3}),
        ('"buy the red"', {0}),
        ('-"red backpack" red', {1}),
        ("купить", {4}),
        ("back", set()),
        ("100% _ \\ ' :*", set()),
    ],
)
def test_comments_are_found_by_words(api, query, found):
    rows = api.get("/comments", {"search": query}).json()["results"]
    assert {TEXTS.index(row["text"]) for row in rows} == found


def test_what_is_found_comes_in_pages_and_can_be_narrowed(api):
    first = api.get("/comments", {"search": "backpack", "limit": 1}).json()
    assert [row["text"] for row in first["results"]] == [TEXTS[2]]
    [row] = api.get(first["next"]).json()["results"]
    assert row["text"] == TEXTS[0]
    assert api.get("/comments", {"search": "backpack", "author": "bea"}).json()["results"] == []


def test_a_search_that_takes_too_long_is_a_400_that_says_what_to_do(api, monkeypatch):
    monkeypatch.setattr(views, "SEARCH_MILLISECONDS", 1)
    monkeypatch.setattr(
        search.Matches, "template", "pg_sleep(1) IS NULL OR to_tsvector('simple', %(expressions)s)"
    )
    answer = api.get("/comments", {"search": "backpack"})
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["field"], "narrow it" in error["reason"]) == ("search", True)


letters = st.text(alphabet="aAbBzİßК1.5eor \t-_%\\/@\"',!|&:*", max_size=12)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=letters, query=letters)
def test_what_is_looked_for_first_stands_in_each_text_that_is_found(db, text, query):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_tsvector('simple', %s) @@ websearch_to_tsquery('simple', %s)", [text, query]
        )
        if cursor.fetchone() != (True,):
            return
        for word in search.needed(query):
            pattern = search.SPECIAL.sub(r"\\\g<0>", word)
            cursor.execute("SELECT %s ILIKE %s", [text, f"%{pattern}%"])
            assert cursor.fetchone() == (True,), word


# --- the index of the days that are over ------------------------------------------------------


@pytest.fixture
def yesterday(transactional_db):
    """A partition of a day that is over, by a clock that is a day ahead; its name."""
    name, _upper = partitions.partitions(search.TABLE)[0]
    yield name
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX IF EXISTS {name}_words")


def pass_days(monkeypatch) -> None:
    _name, upper = partitions.partitions(search.TABLE)[0]
    day = partitions.given_out_at(upper).date()
    monkeypatch.setattr(search, "today", lambda: day)


@pytest.mark.django_db(transaction=True)
def test_a_day_that_is_over_gets_its_index_once(yesterday, monkeypatch):
    assert search.index_past_days() == []
    pass_days(monkeypatch)
    assert search.index_past_days() == [f"{yesterday}_words"]
    assert search.index_past_days() == []


@pytest.mark.django_db(transaction=True)
def test_the_hourly_task_makes_the_index(yesterday, monkeypatch):
    pass_days(monkeypatch)
    maintain_partitions()
    assert search.index_past_days() == []


@pytest.mark.django_db(transaction=True)
def test_an_index_that_was_broken_off_is_made_again(yesterday, monkeypatch):
    pass_days(monkeypatch)
    search.index_past_days()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass",
            [f"{yesterday}_words"],
        )
    assert search.index_past_days() == [f"{yesterday}_words"]


@pytest.mark.django_db(transaction=True)
def test_an_indexed_day_is_searched_by_its_index(yesterday, monkeypatch):
    pass_days(monkeypatch)
    search.index_past_days()
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off; SET enable_indexscan = off")
        try:
            plan = search.search(Comment.objects.all(), "backpack").explain()
        finally:
            cursor.execute("RESET enable_seqscan; RESET enable_indexscan")
    assert f"{yesterday}_words" in plan
