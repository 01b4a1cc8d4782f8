"""Conditional GETs: what a client has already is not sent again."""

import pytest

from tests.factories import CommentFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(api_of):
    return api_of("comments.view_comment", "dmtrigger.erase_person")


def again(client, path: str, etag: str):
    return client.get(path, headers={"if-none-match": etag})


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_what_has_not_changed_is_a_304_without_a_body(reader, prefix):
    comment = CommentFactory()
    for path in (f"{prefix}/comments", f"{prefix}/comments/{comment.pk}"):
        first = reader.get(path)
        assert (first.status_code, first.headers["ETag"][0]) == (200, '"')
        answer = again(reader, path, first.headers["ETag"])
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == first.headers["ETag"]


def test_what_has_changed_is_sent_with_another_tag(reader):
    CommentFactory()
    first = reader.get("/comments")
    CommentFactory()
    answer = again(reader, "/comments", first.headers["ETag"])
    assert (answer.status_code, len(answer.json()["results"])) == (200, 2)
    assert answer.headers["ETag"] != first.headers["ETag"]


def test_the_tag_is_of_no_use_to_who_may_not_look(reader, api_of):
    etag = reader.get("/comments").headers["ETag"]
    assert again(api_of(), "/comments", etag).status_code == 403


def test_an_answer_may_be_kept_by_who_asked_alone(reader):
    first = reader.get("/comments")
    same = again(reader, "/comments", first.headers["ETag"])
    for answer in (first, same):
        said = set(answer.headers["Cache-Control"].split(", "))
        assert said == {"private", "no-cache"}


def test_a_304_counts_as_a_call(reader, settings):
    settings.RATE_LIMIT_PER_MINUTE = 2
    first = reader.get("/comments")
    same = again(reader, "/comments", first.headers["ETag"])
    assert same.headers["RateLimit"].startswith('"client";r=0')
    assert again(reader, "/comments", first.headers["ETag"]).status_code == 429


def test_what_is_stored_of_a_person_is_kept_by_nobody(reader):
    answer = reader.get("/people/fake_platform/ada/data")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert "ETag" not in answer.headers


def test_a_condition_that_does_not_hold_is_a_problem(reader):
    answer = reader.get("/comments", headers={"if-match": '"another"'})
    assert (answer.status_code, answer.json()["title"]) == (412, "Precondition Failed")
    assert answer.headers["RateLimit"]


def test_an_error_and_what_is_not_the_api_have_no_tag(reader, client):
    for answer in (reader.get("/comments/1"), client.get("/health"), client.get("/admin/login/")):
        assert "ETag" not in answer.headers
