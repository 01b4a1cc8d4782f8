"""Errors have one form, problem details, whoever refuses the call and why."""

import json
from typing import Any

import pytest
from rest_framework.exceptions import ValidationError
from rest_framework.test import APIRequestFactory

from tests.factories import ReviewFactory
from threadsagent.problems import exception_handler

pytestmark = pytest.mark.django_db
RIGHTS = ("comments.view_comment", "comments.add_comment", "comments.add_monitor")


@pytest.fixture
def api(api_of):
    return api_of(*RIGHTS, "comments.view_monitor", "intents.decide_review")


def problem(answer, status: int) -> dict[str, Any]:
    """What the answer says, if it is a problem of this status and whole."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) - {"errors"} == {"type", "title", "status", "detail", "instance"}
    assert (body["type"], body["status"]) == ("about:blank", status)
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == answer.wsgi_request.path
    return body


def test_a_validation_error_names_each_field_and_says_it_in_words(api):
    answer = api.post("/comments/monitor", {"interval_seconds": 4}, format="json")
    body = problem(answer, 400)
    assert body["errors"] == [
        {"field": "post_id", "reason": "This field is required."},
        {
            "field": "interval_seconds",
            "reason": "Ensure this value is greater than or equal to 5.",
        },
    ]
    assert body["detail"] == (
        "post_id: This field is required.; "
        "interval_seconds: Ensure this value is greater than or equal to 5."
    )
    assert body["title"] == "Bad Request"


def test_a_parameter_that_is_wrong_is_named_like_a_field(api):
    body = problem(api.get("/comments?stored_after=yesterday"), 400)
    assert [error["field"] for error in body["errors"]] == ["stored_after"]


def test_what_is_wrong_with_the_whole_body_names_no_field(api):
    body = problem(api.post("/comments/monitor", [], format="json"), 400)
    assert "Expected a dictionary" in body["detail"]
    assert "errors" not in body


@pytest.mark.parametrize(
    ("said", "errors"),
    [
        ({"outer": {"inner": ["no"]}}, [("outer.inner", "no")]),
        ({"items": [{}, {"id": ["no", "never"]}]}, [("items.1.id", "no"), ("items.1.id", "never")]),
        ({"items": {"non_field_errors": ["too many"]}}, [("items", "too many")]),
        (["no"], []),
    ],
)
def test_errors_within_others_have_their_whole_way(said, errors):
    context = {"request": APIRequestFactory().get("/"), "view": None}
    answer = exception_handler(ValidationError(said), context)
    assert answer is not None
    found = json.loads(answer.content).get("errors", [])
    assert [(error["field"], error["reason"]) for error in found] == errors


def test_a_stranger_gets_a_problem_and_is_told_how_to_come_in(client):
    answer = client.get("/comments")
    problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Token"


def test_what_is_not_allowed_not_there_or_not_known_is_a_problem(api, api_of):
    problem(api_of().get("/comments"), 403)
    problem(api.get("/comments/1"), 404)
    problem(api.get("/comments?cursor=%FF"), 404)
    problem(api.post("/comments", {}, format="json"), 405)
    problem(api.get("/comments", headers={"accept": "text/csv"}), 406)
    problem(api.post("/comments/process", "x", content_type="text/plain"), 415)


def test_a_body_that_cannot_be_read_is_a_problem(api, settings):
    body = problem(api.post("/comments/process", "{", content_type="application/json"), 400)
    assert body["detail"].startswith("JSON parse error")
    settings.MAX_BODY_BYTES = 1
    problem(api.post("/comments/process", {}, format="json"), 413)


def test_what_a_view_refuses_is_a_problem(api, settings):
    body = problem(api.post(f"/reviews/{ReviewFactory().pk}/approve"), 409)
    assert "add one first" in body["detail"]
    settings.FAKE_PLATFORM_URL = "http://127.0.0.1:9"
    problem(api.post("/comments/process", {"post_id": "p1"}, format="json"), 502)


def test_a_call_over_the_limit_is_a_problem_with_its_headers(api, settings):
    settings.RATE_LIMIT_PER_MINUTE = 1
    api.get("/comments")
    answer = api.get("/comments")
    body = problem(answer, 429)
    assert body["detail"].startswith("This client had its 1 calls a minute.")
    assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= set(answer.headers)


def test_an_error_is_json_where_the_answer_would_be_something_else(client):
    problem(client.get("/api/schema"), 401)


# --- outside of the views ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/comment", "/comments/1/2", "/api/v2/comments"])
def test_a_path_that_there_is_not_is_a_problem(client, path):
    problem(client.get(path), 404)


def test_the_path_that_was_called_is_named_as_a_uri(api, client):
    named = "/comments/monitor/a%09%C3%A9%20%22"
    assert api.get(named).json()["instance"] == named
    assert client.get("/nowhere/%C2%84").json()["instance"] == "/nowhere/%C2%84"


def test_an_unknown_host_and_a_nul_in_the_query_are_problems(client):
    problem(client.get("/comments", headers={"host": "elsewhere.example"}), 400)
    problem(client.get("/comments?author=%00"), 400)


def test_a_fault_of_ours_is_a_problem_that_gives_nothing_away(api, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("comments.views.CommentViewSet.get_queryset", fail)
    api.raise_request_exception = False
    answer = api.get("/comments")
    problem(answer, 500)
    assert b"secret" not in answer.content


def test_a_browser_gets_a_page(client):
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = client.get("/nowhere", headers={"accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        404,
        "text/html; charset=utf-8",
    )


# --- the spec's own answers -------------------------------------------------------------------


def test_a_batch_with_nothing_good_in_it_is_answered_as_the_spec_has_it(api):
    batch = {"post_id": "p1", "comments": [{"id": "c1"}]}
    answer = api.post("/comments/process", batch, format="json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/json")
    assert answer.json()["status"] == "error"
    assert [item["field"] for item in answer.json()["rejected"]] == ["text"]
