"""Rate limits: a bucket for each client, one for each post, and nothing of it without Redis."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import throttled
from django_redis import get_redis_connection
from prometheus_client import REGISTRY

from comments.parsing import MAX_ID_LENGTH
from tests.factories import UserFactory
from tests.threadsagent.test_settings import read
from threadsagent import tokens
from threadsagent.throttling import Bucket, client_address, take

pytestmark = pytest.mark.django_db
SIZE = 5  # a token each 12 seconds: no test is that slow
NEXT = range(9, 13)  # seconds to the first one, also where a test takes its time
GONE = "redis://127.0.0.1:9/0"


@pytest.fixture(autouse=True)
def small_buckets(settings) -> None:
    settings.RATE_LIMIT_PER_MINUTE = SIZE


@pytest.fixture
def reader(api_of):
    return api_of("comments.view_comment")


def read_times(client, times: int) -> list[int]:
    return [client.get("/comments").status_code for _ in range(times)]


def process(client, post_id: object):
    return client.post("/comments/process", {"post_id": post_id, "comments": []}, format="json")


def spend(limit: str, subject: str) -> Bucket:
    bucket = take(limit, subject, throttled.per_min(SIZE))
    assert bucket is not None
    return bucket


def told(answer) -> dict[str, tuple[int, int]]:
    """What the headers say: of each limit, the tokens left and the seconds until one more."""
    items = re.findall(r'"(\w+)";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
    return {limit: (int(left), int(wait)) for limit, left, wait in items}


def let_pass(seconds: float) -> None:
    """As if so much time had passed: each bucket is stored as the moment when it will be full."""
    redis = get_redis_connection("default")
    for key in redis.keys("rate_limit:*"):
        redis.set(key, float(redis.get(key)) - seconds)


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def test_a_minutes_calls_may_come_at_once_and_no_more(reader):
    assert read_times(reader, SIZE + 2) == [200] * SIZE + [429] * 2


def test_the_refusal_says_which_limit_and_when_to_try_again(reader):
    read_times(reader, SIZE)
    before = count("rate_limited_total", limit="client")
    refusal = reader.get("/comments")
    wait = int(refusal.headers["Retry-After"])
    assert wait in NEXT
    assert refusal.json()["detail"] == (
        f"This client had its 5 calls a minute. Try again in {wait} seconds."
    )
    assert count("rate_limited_total", limit="client") == before + 1


def test_tokens_come_back_one_by_one(reader):
    read_times(reader, SIZE)
    let_pass(12)
    assert read_times(reader, 2) == [200, 429]


def test_parts_of_a_token_are_not_lost():
    passed = []
    for _ in range(SIZE + 2):
        passed.append(spend("client", "ada").passed)
        let_pass(7)
    assert passed == [True] * (SIZE + 2)


def test_who_waits_as_told_passes(reader, settings):
    settings.RATE_LIMIT_PER_MINUTE = 60
    for _ in range(600):
        answer = reader.get("/comments")
        if answer.status_code == 429:
            break
    assert answer.headers["Retry-After"] == "1"
    time.sleep(1)
    assert reader.get("/comments").status_code == 200


def test_of_calls_at_the_same_moment_no_more_pass():
    with ThreadPoolExecutor(3 * SIZE) as threads:
        buckets = list(threads.map(lambda _: spend("post", "p1"), range(3 * SIZE)))
    assert sum(bucket.passed for bucket in buckets) == SIZE


def test_clients_do_not_share_a_bucket(reader, api_of):
    read_times(reader, SIZE + 1)
    assert read_times(api_of("comments.view_comment"), 1) == [200]


def test_each_token_has_a_bucket_also_where_they_are_one_users(client):
    shop = UserFactory(is_superuser=True)
    keys = [tokens.issue(shop, None, timedelta(days=1))[1] for _ in range(2)]

    def call(key: str) -> int:
        return client.get("/comments", headers={"Authorization": f"Token {key}"}).status_code

    assert [call(keys[0]) for _ in range(SIZE + 1)] == [200] * SIZE + [429]
    assert call(keys[1]) == 200


def test_one_post_has_one_bucket_whoever_calls(api_of):
    one, other = api_of("comments.add_comment"), api_of("comments.add_comment")
    calls = [process(client, "p1").status_code for client in (one, other) * 3]
    assert calls == [200] * SIZE + [429]
    refusal = process(one, "p1")
    assert int(refusal.headers["Retry-After"]) in NEXT
    assert "This post had its 5 calls a minute." in refusal.json()["detail"]


def test_posts_do_not_share_a_bucket(api_of):
    for _ in range(SIZE):
        spend("post", "p1")
    client = api_of("comments.add_comment")
    assert process(client, "p1").status_code == 429
    assert process(client, "p2").status_code == 200


def test_a_client_over_its_limit_costs_the_post_nothing(api_of):
    client = api_of("comments.add_comment")
    for number in range(SIZE):
        process(client, f"p{number}")
    assert process(client, "p9").status_code == 429
    assert spend("post", "p9").left == SIZE - 1


def test_the_headers_are_those_of_the_draft():
    bucket = Bucket("client", passed=True, size=100, left=99, wait=1)
    assert bucket.headers == {
        "RateLimit-Policy": '"client";q=100;w=60',
        "RateLimit": '"client";r=99;t=1',
    }


def test_every_answer_carries_the_headers(reader):
    statuses = []
    for path in ["/comments", "/comments/404", *["/comments"] * (SIZE - 1)]:
        answer = reader.get(path)
        statuses.append(answer.status_code)
        assert answer.headers["RateLimit-Policy"] == '"client";q=5;w=60'
        assert told(answer)["client"][0] == max(0, SIZE - len(statuses))
    assert statuses == [200, 404, 200, 200, 200, 429]


def test_both_limits_are_in_the_headers_where_both_apply(api_of):
    spend("post", "p1")
    answer = process(api_of("comments.add_comment"), "p1")
    assert answer.headers["RateLimit-Policy"] == '"client";q=5;w=60, "post";q=5;w=60'
    assert {limit: left for limit, (left, _) in told(answer).items()} == {"client": 4, "post": 3}


def test_the_time_in_the_headers_is_that_to_the_next_token(reader):
    left, wait = told(reader.get("/comments"))["client"]
    assert (left, wait in NEXT) == (4, True)
    reader.get("/comments")
    let_pass(8)
    left, wait = told(reader.get("/comments"))["client"]
    assert (left, wait in range(1, 5)) == (2, True)


@pytest.mark.parametrize("post_id", [None, "", 7, ["p1"], "x" * (MAX_ID_LENGTH + 1), "a\x00b"])
def test_what_is_wrong_with_a_post_id_is_said_by_the_view(api_of, post_id):
    answer = process(api_of("comments.add_comment"), post_id)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["post_id"]
    assert "post" not in answer.headers["RateLimit-Policy"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [("{", "application/json", 400), ("[]", "application/json", 400), ("x", "text/plain", 415)],
)
def test_a_body_that_cannot_be_read_counts_for_the_client(api_of, body, kind, status):
    answer = api_of("comments.add_comment").post("/comments/process", body, content_type=kind)
    assert answer.status_code == status
    assert told(answer)["client"][0] == SIZE - 1


def test_strangers_are_limited_by_their_address(client):
    def call(address: str, **headers: str) -> int:
        return client.get("/comments", REMOTE_ADDR=address, headers=headers).status_code

    tries = [call("10.0.0.1", authorization=f"Token {number}") for number in range(SIZE + 1)]
    assert tries == [401] * SIZE + [429]
    assert call("10.0.0.1", x_forwarded_for="10.0.0.9") == 429
    assert call("10.0.0.2") == 401


def test_what_a_client_may_not_do_counts_as_well(api_of):
    assert read_times(api_of(), SIZE + 1) == [403] * SIZE + [429]


def test_strangers_cannot_use_up_a_posts_bucket(client):
    process(client, "p1")
    assert spend("post", "p1").left == SIZE - 1


@pytest.mark.parametrize("path", ["/health", "/metrics", "/admin/", "/api/schema", "/api/docs/"])
def test_what_is_not_the_api_has_no_limit(admin_client, path):
    for _ in range(SIZE + 1):
        answer = admin_client.get(path)
        assert answer.status_code == 200
        assert "RateLimit" not in answer.headers


def test_without_redis_calls_pass(reader, settings, caplog):
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": GONE}}
    before = count("redis_skipped_total", purpose="rate_limit")
    for _ in range(SIZE + 1):
        answer = reader.get("/comments")
        assert answer.status_code == 200
        assert not {"RateLimit", "RateLimit-Policy"} & set(answer.headers)
    assert count("redis_skipped_total", purpose="rate_limit") == before + SIZE + 1
    assert "Redis does not answer" in caplog.text


@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_limit_of_nothing_stops_the_start(value):
    error = read("RATE_LIMIT_PER_MINUTE", RATE_LIMIT_PER_MINUTE=value)
    assert error.endswith("RATE_LIMIT_PER_MINUTE must be at least 1")


# Where a call comes from ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "", "10.0.0.1"),
        (0, "203.0.113.9", "10.0.0.1"),  # anybody can write that
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (1, "2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        (1, "2001:db8:1:2:bbbb::1", "2001:db8:1:2::/64"),
        (2, "203.0.113.9", None),  # there are fewer of them than we were told
        (1, "", None),
        (1, "unknown", None),
    ],
)
def test_of_what_proxies_tell_only_our_own_is_believed(rf, settings, proxies, forwarded, address):
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = rf.get("/", REMOTE_ADDR="10.0.0.1", headers=headers)
    assert client_address(request) == address
