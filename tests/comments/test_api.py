"""`POST /comments/process` and the comments' list, over HTTP."""

import json
from typing import Any

import pytest

from comments.models import Comment

URL = "/comments/process"


def item(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"comment_{number:03}",
        "text": "Love this product! Where can I buy it?",
        "author": "user123",
        "timestamp": "2024-01-25T10:30:00Z",
    } | changes


@pytest.fixture
def api(api_of):
    return api_of("comments.add_comment", "comments.view_comment")


def post(api, comments: Any = None, post_id: Any = "post_12345") -> Any:
    body = {"post_id": post_id} | ({} if comments is None else {"comments": comments})
    return api.post(URL, body, format="json")


def test_the_answer_has_the_specs_fields(api):
    post(api, [item(1)])
    answer = post(api, [item(1), item(2), item(3)])
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("processing_time_ms") >= 0
    assert body == {
        "status": "success",
        "processed_count": 3,
        "queued_count": 2,
        "stored_count": 2,
        "duplicates_filtered": 1,
        "rejected": [],
    }


def test_good_comments_are_kept_and_bad_ones_named(api):
    answer = post(api, [item(1), item(2, text=""), {"id": "comment_003"}])
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["stored_count"]) == ("partial", 1)
    assert body["rejected"] == [
        {"index": 1, "id": "comment_002", "field": "text", "reason": "must not be empty"},
        {"index": 2, "id": "comment_003", "field": "text", "reason": "is missing"},
    ]


def test_a_batch_with_nothing_good_is_a_400(api):
    answer = post(api, [item(1, timestamp="soon")])
    assert (answer.status_code, answer.json()["status"]) == (400, "error")


def test_an_empty_batch_is_a_success(api):
    answer = post(api, [])
    assert (answer.status_code, answer.json()["processed_count"]) == (200, 0)


def test_lone_surrogates_that_arrive_as_escapes_are_named(api):
    raw = json.dumps({"post_id": "p", "comments": [item(1, text="\ud83d"), item(2)]})
    answer = api.post(URL, raw, content_type="application/json")
    assert answer.json()["rejected"][0]["reason"] == "contains half of a surrogate pair"
    assert Comment.objects.get().external_id == "comment_002"


@pytest.mark.parametrize(
    "raw",
    [b"{", b"", b"\xff\xfe", b'{"post_id": NaN}', b"[" * 200_000, b'"text"', b"[]", b"3"],
    ids=["cut off", "empty", "not UTF-8", "NaN", "too deep", "a string", "a list", "a number"],
)
def test_a_body_that_is_no_json_object_is_a_400(api, raw):
    answer = api.post(URL, raw, content_type="application/json")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("post_id", "message"),
    [
        (None, "is missing"),
        ("", "must not be empty"),
        (5, "must be text"),
        ("p" * 101, "has 101 characters, the limit is 100"),
        ("a\x00", "contains a NUL character"),
    ],
)
def test_a_bad_post_id_is_named(api, post_id, message):
    answer = post(api, [item(1)], post_id=post_id)
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"field": "post_id", "reason": message}]


def test_comments_that_are_no_list_are_named(api):
    answer = post(api, {"id": "c"})
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"field": "comments", "reason": "must be a list"}]


def test_a_post_id_with_a_slash_is_like_any_other(api):
    post(api, [item(1)], post_id="a/b")
    assert Comment.objects.get().post_id == "a/b"


def test_a_body_over_the_limit_is_a_413(api, settings):
    settings.MAX_BODY_BYTES = 100
    answer = post(api, [item(1)])
    assert answer.status_code == 413
    assert "100 bytes" in answer.json()["detail"]


def test_more_comments_than_a_call_may_have_are_a_413(api):
    answer = post(api, [0] * 50_001)
    assert answer.status_code == 413
    assert answer.json()["detail"] == "50001 comments in one call, the limit is 50000"


def test_a_batch_of_25_000_is_stored(api):
    answer = post(api, [item(n) for n in range(25_000)])
    assert (answer.status_code, answer.json()["stored_count"]) == (200, 25_000)


def test_without_comments_the_posts_are_fetched_from_the_source(api, fake_platform):
    for n in range(120):  # more than one page
        fake_platform.store.add_comment("a/b", text=f"price {n}?", author="ada")
    answer = post(api, post_id="a/b")
    assert (answer.status_code, answer.json()["stored_count"]) == (200, 120)
    assert post(api, post_id="a/b").json()["duplicates_filtered"] == 120


def test_a_source_that_cannot_be_reached_is_a_502(api, settings):
    settings.FAKE_PLATFORM_URL = "http://127.0.0.1:9"
    answer = post(api)
    assert answer.status_code == 502
    assert "fake platform" in answer.json()["detail"]


def test_stored_comments_are_listed_newest_first(api):
    post(api, [item(1), item(2)])
    body = api.get("/comments?limit=1").json()
    assert [row["external_id"] for row in body["results"]] == ["comment_002"]
    rest = api.get(body["next"]).json()
    assert [row["external_id"] for row in rest["results"]] == ["comment_001"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("post_id=p1", ["comment_002", "comment_001"]),
        ("author=grace", ["comment_003"]),
        ("external_id=comment_002", ["comment_002"]),
        ("external_id=none", []),
        ("analyzed=true", []),
        ("post_id=p1&analyzed=false", ["comment_002", "comment_001"]),
        ("stored_after=2020-01-01T00:00:00Z&post_id=p2", ["comment_003"]),
        ("stored_after=2099-01-01T00:00:00Z", []),
        ("stored_before=2020-01-02T00:00:00%2B02:00", []),
    ],
)
def test_comments_are_narrowed_by_what_is_asked_for(api, query, found):
    post(api, [item(1), item(2)], post_id="p1")
    post(api, [item(3, author="grace")], post_id="p2")
    rows = api.get(f"/comments?{query}").json()["results"]
    assert [row["external_id"] for row in rows] == found


def test_a_time_that_is_none_is_a_400(api):
    answer = api.get("/comments?stored_after=yesterday")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["stored_after"]


def test_what_is_neither_true_nor_false_is_a_400(api):
    answer = api.get("/comments?analyzed=flase")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["analyzed"]


def test_one_comment_says_whether_it_is_analysed(api):
    post(api, [item(1)])
    body = api.get(f"/comments/{Comment.objects.get().pk}").json()
    assert (body["post_id"], body["analyzed_at"]) == ("post_12345", None)


def test_a_comment_says_whether_its_author_is_an_influencer(api):
    post(api, [item(1, author_followers=12_300)])
    body = api.get(f"/comments/{Comment.objects.get().pk}").json()
    told = ("author_followers", "author_verified", "is_influencer")
    assert [body[name] for name in told] == [12_300, False, True]


def test_handing_in_needs_its_own_permission(api_of):
    assert post(api_of("comments.view_comment"), [item(1)]).status_code == 403


@pytest.mark.parametrize("account", [0, False, [], {}, 7, " "])
def test_an_account_that_is_no_name_is_a_400(api, account):
    body = {"post_id": "p1", "comments": [item(1)], "account": account}
    answer = api.post(URL, body, format="json")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["account"]


@pytest.mark.parametrize("account", [None, ""])
def test_an_account_may_be_left_empty(api, account):
    body = {"post_id": "p1", "comments": [item(1)], "account": account}
    assert api.post(URL, body, format="json").status_code == 200
    assert Comment.objects.get().account == ""
