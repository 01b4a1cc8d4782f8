"""The fake platform keeps the contract in its package's docstring."""

import hmac
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import time_machine

from threadsagent.fake_platform.chaos import ERRORS, every_fault
from threadsagent.fake_platform.player import PushTarget, Sample, load_samples, playing
from threadsagent.fake_platform.server import running
from threadsagent.fake_platform.store import Store
from threadsagent.fake_platform.webhooks import WebhookTarget

ROOT = Path(__file__).parents[2]
AUTHOR_FACTS = {"author_followers": 12_300, "author_verified": True}
BEARER = {"Authorization": "Bearer anything"}


@contextmanager
def platform(data=":memory:", **options):
    """A client of a fake platform on a free port."""
    with (
        closing(Store(data)) as store,
        running(store, **options) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=10) as client,
    ):
        yield client


@pytest.fixture
def api():
    with platform() as client:
        yield client


def comment(api, text="Price?", author="mira", post="bag", **more):
    answer = api.post(f"/posts/{post}/comments", json={"text": text, "author": author, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def send(api, comment_id, text="Hello", headers=BEARER):
    body = {"recipient": {"comment_id": comment_id}, "message": {"text": text}}
    return api.post("/messages", json=body, headers=headers)


def reply(api, comment_id, text="Hello", headers=BEARER):
    path = f"/comments/{quote(comment_id, safe='')}/replies"
    return api.post(path, json={"message": text}, headers=headers)


def ledger(api, **query):
    return api.get("/messages", params=query).json()["data"]


def refused(answer, status, code, subcode=None):
    """The error is in Meta's form, with this status, code and subcode."""
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error.get("error_subcode")) == (
        status,
        code,
        subcode,
    )
    assert error["type"] == "OAuthException"
    assert error["message"]
    assert error["fbtrace_id"]
    return True


def eventually(check, seconds=10):
    """Waits until the check holds."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


# --- Comments


def test_a_new_comment_gets_an_id_and_the_time(api):
    before = datetime.now(UTC)
    new = comment(api, "Link pls", "tilda")
    assert new == {
        "id": "fake_1",
        "post_id": "bag",
        "text": "Link pls",
        "author": "tilda",
        "timestamp": new["timestamp"],
        "author_followers": None,
        "author_verified": False,
    }
    assert new["timestamp"].endswith("Z")
    assert before <= datetime.fromisoformat(new["timestamp"]) <= datetime.now(UTC)


def test_a_comment_keeps_the_id_and_the_time_it_came_with(api):
    given = comment(api, id="1789", timestamp="2026-03-01T10:30:00+02:00")
    assert (given["id"], given["timestamp"]) == ("1789", "2026-03-01T08:30:00Z")
    again = api.post("/posts/other/comments", json={"text": "x", "author": "y", "id": "1789"})
    assert refused(again, 409, 100)
    assert api.get("/posts").json() == {"data": [{"post_id": "bag", "comments": 1}]}


def test_a_comment_tells_what_is_known_of_its_author(api):
    given = comment(api, **AUTHOR_FACTS)
    [listed] = api.get("/posts/bag/comments").json()["data"]
    assert given.items() >= listed.items() >= AUTHOR_FACTS.items()


def test_a_given_id_that_looks_generated_is_never_given_out_again(api):
    comment(api, id="fake_3")
    ids = [comment(api)["id"] for _ in range(3)]
    assert len({"fake_3", *ids}) == 4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe\xfd",
        b"[1]",
        b"[" * 100_000,
        b'{"text": "a"}',
        b'{"author": "b"}',
        b'{"text": 1, "author": "b"}',
        b'{"text": "a", "author": ""}',
        b'{"text": "\\ud800", "author": "b"}',
        b'{"text": "a", "author": "b", "id": ""}',
        b'{"text": "a", "author": "b", "id": 5}',
        b'{"text": "a", "author": "b", "timestamp": "yesterday"}',
        b'{"text": "a", "author": "b", "author_followers": -1}',
        b'{"text": "a", "author": "b", "author_verified": "yes"}',
        b'{"text": "a", "author": "b", "timestamp": "2026-03-01T10:30:00"}',
        b'{"text": "a", "author": "b", "timestamp": "0001-01-01T00:00:00+14:00"}',
    ],
)
def test_a_broken_comment_is_refused(api, body):
    assert refused(api.post("/posts/bag/comments", content=body), 400, 100)
    assert api.get("/posts").json() == {"data": []}


def test_slashes_and_scripts_of_all_kinds_survive(api):
    text = "כמה זה עולה? 😍\u202e <b>"
    new = comment(api, text, "йога", post="a%2Fb%20%C3%A4")
    assert new["post_id"] == "a/b ä"
    page = api.get("/posts/a%2Fb%20%C3%A4/comments").json()
    assert page["data"] == [{k: v for k, v in new.items() if k != "post_id"}]
    assert api.get("/posts").json() == {"data": [{"post_id": "a/b ä", "comments": 1}]}
    assert refused(api.get("/posts/a/b/comments"), 404, 2500)
    assert refused(api.get("/posts/%ff/comments"), 400, 100)


# --- Paging


def pages(api, address):
    """All comments from an address on, following ``next``, and the last cursor."""
    ids, cursor = [], None
    while address:
        page = api.get(address).json()
        ids += [item["id"] for item in page["data"]]
        cursor = page["paging"].get("cursors", {}).get("after")
        address = page["paging"].get("next")
    return ids, cursor


@pytest.mark.parametrize("limit", [1, 4, 7, 8, 100])
def test_pages_cover_everything_once_and_a_cursor_goes_on_with_what_is_new(api, limit):
    made = []
    for number in range(8):
        made.append(comment(api, str(number), post="a%2Fb")["id"])
        comment(api, "elsewhere", post="other")
    ids, cursor = pages(api, f"/posts/a%2Fb/comments?limit={limit}")
    assert ids == made
    assert pages(api, f"/posts/a%2Fb/comments?after={cursor}") == ([], cursor)
    # A comment that comes late comes last, however old it says it is.
    late = [comment(api, "late", post="a%2Fb", timestamp="2020-01-01T00:00:00Z")["id"]]
    late.append(comment(api, "new", post="a%2Fb")["id"])
    assert pages(api, f"/posts/a%2Fb/comments?after={cursor}&limit={limit}")[0] == late


def test_next_is_there_only_when_there_is_more(api):
    for _ in range(51):
        comment(api)
    first = api.get("/posts/bag/comments").json()
    assert len(first["data"]) == 50
    second = api.get(first["paging"]["next"]).json()
    assert len(second["data"]) == 1
    assert "next" not in second["paging"]


def test_an_unknown_post_is_empty_and_has_no_cursor(api):
    assert api.get("/posts/none/comments").json() == {"data": [], "paging": {}}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=x",
        "limit=1.5",
        "after=x",
        "after=MQ",
        "after=MQ==",
        "after=%C3%A4",
        "after=LTAwMDAwMDAwMDAx",
    ],
)
def test_a_bad_limit_or_cursor_is_refused(api, query):
    comment(api)
    assert refused(api.get(f"/posts/bag/comments?{query}"), 400, 100)


# --- Messages


def test_a_message_is_delivered_into_the_ledger(api):
    first, second = comment(api, "Price?", "mira"), comment(api, "Link?", "tom")
    answer = send(api, first["id"], "It is 199 €")
    assert answer.status_code == 200
    assert set(answer.json()) == {"recipient_id", "message_id"}
    send(api, second["id"])
    entry = ledger(api, comment_id=first["id"])
    assert entry == [
        {
            "message_id": answer.json()["message_id"],
            "comment_id": first["id"],
            "channel": "direct_message",
            "account": "",
            "post_id": "bag",
            "author": "mira",
            "comment_text": "Price?",
            "text": "It is 199 €",
            "received_at": entry[0]["received_at"],
        }
    ]
    assert [item["comment_id"] for item in ledger(api)] == [first["id"], second["id"]]


def test_a_comment_gets_one_message_only(api):
    new = comment(api)
    assert send(api, new["id"]).status_code == 200
    assert refused(send(api, new["id"]), 400, 100, 2534025)
    assert refused(send(api, "no such comment"), 400, 100, 2534025)
    assert len(ledger(api)) == 1


def test_of_many_messages_at_once_one_gets_through(api):
    for _ in range(5):
        target = comment(api)["id"]
        at_once = threading.Barrier(12)

        def race(_number, target=target, at_once=at_once):
            at_once.wait()
            return send(api, target).status_code

        with ThreadPoolExecutor(12) as pool:
            assert Counter(pool.map(race, range(12))) == {200: 1, 400: 11}
        assert len(ledger(api, comment_id=target)) == 1


def test_two_servers_on_one_file_deliver_one_message(tmp_path):
    with platform(tmp_path / "p.db") as one, platform(tmp_path / "p.db") as two:
        target = comment(one)["id"]
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(lambda api: send(api, target).status_code, [one, two] * 4)
            assert Counter(answers) == {200: 1, 400: 7}


def test_the_window_is_seven_days(api):
    def aged(**age):
        return comment(api, timestamp=(datetime.now(UTC) - timedelta(**age)).isoformat())["id"]

    assert send(api, aged(days=6, hours=23, minutes=59)).status_code == 200
    assert refused(send(api, aged(days=7, seconds=1)), 400, 10, 2534022)
    assert len(ledger(api)) == 1


@pytest.mark.parametrize(
    ("text", "status"), [("", 400), ("x" * 1000, 200), ("x" * 1001, 400), ("ä" * 501, 400)]
)
def test_the_length_is_counted_in_bytes(api, text, status):
    answer = send(api, comment(api)["id"], text)
    assert answer.status_code == status
    assert status == 200 or refused(answer, 400, 100)


@pytest.mark.parametrize("value", [None, "", "Bearer", "Token x"])
def test_a_message_needs_a_bearer_token(api, value):
    target = comment(api)["id"]
    headers = {} if value is None else {"Authorization": value}
    assert refused(send(api, target, headers=headers), 401, 190)
    assert ledger(api) == []


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}",
        b'{"recipient": "x", "message": {"text": "a"}}',
        b'{"recipient": {}, "message": {"text": "a"}}',
        b'{"recipient": {"comment_id": "x"}}',
        b'{"recipient": {"comment_id": "x"}, "message": {"text": null}}',
    ],
)
def test_a_broken_message_is_refused(api, body):
    assert refused(api.post("/messages", content=body, headers=BEARER), 400, 100)


def test_everything_survives_a_restart(tmp_path):
    data = tmp_path / "platform.db"
    with platform(data) as api:
        first = comment(api)
        message = send(api, first["id"]).json()
        cursor = pages(api, "/posts/bag/comments")[1]
    with platform(data) as api:
        assert ledger(api)[0]["message_id"] == message["message_id"]
        assert refused(send(api, first["id"]), 400, 100, 2534025)
        second = comment(api)
        assert (first["id"], second["id"]) == ("fake_1", "fake_2")
        assert pages(api, f"/posts/bag/comments?after={cursor}")[0] == [second["id"]]
        assert send(api, second["id"]).json()["message_id"] != message["message_id"]


def test_a_file_from_before_authors_had_followers_goes_on(tmp_path):
    data = tmp_path / "platform.db"
    with platform(data) as api:
        old = comment(api)["id"]
    with closing(sqlite3.connect(data)) as file:
        for name in AUTHOR_FACTS:
            file.execute(f"ALTER TABLE comments DROP COLUMN {name}")
    with platform(data) as api:
        comment(api, **AUTHOR_FACTS)
        first, second = api.get("/posts/bag/comments").json()["data"]
    assert (first["id"], first["author_followers"], first["author_verified"]) == (old, None, False)
    assert second.items() >= AUTHOR_FACTS.items()


def test_a_file_from_before_there_were_public_replies_goes_on(tmp_path):
    data = tmp_path / "platform.db"
    with platform(data) as api:
        old = comment(api)["id"]
        message = send(api, old, "before").json()["message_id"]
    with closing(sqlite3.connect(data)) as file:
        file.executescript(
            """
            CREATE TABLE old (seq INTEGER PRIMARY KEY AUTOINCREMENT, comment_id TEXT NOT NULL
                UNIQUE REFERENCES comments (id), text TEXT NOT NULL, received_at TEXT NOT NULL);
            INSERT INTO old SELECT seq, comment_id, text, received_at FROM messages;
            DROP TABLE messages;
            ALTER TABLE old RENAME TO messages;
            """
        )
    for _ in range(2):
        with platform(data) as api:
            [entry] = ledger(api)
            assert (entry["message_id"], entry["text"]) == (message, "before")
            assert (entry["channel"], entry["account"]) == ("direct_message", "")
            assert refused(send(api, old), 400, 100, 2534025)
    with platform(data) as api:
        assert reply(api, old).status_code == 200


# --- Public replies


def test_a_public_reply_is_in_the_ledger(api):
    target = comment(api, "Price?", "mira")["id"]
    answer = reply(api, target, "It is 199 €")
    assert (answer.status_code, set(answer.json())) == (200, {"id"})
    [entry] = ledger(api)
    assert (entry["message_id"], entry["channel"]) == (answer.json()["id"], "public_reply")
    assert (entry["comment_id"], entry["text"]) == (target, "It is 199 €")
    assert "public reply" in api.get("/").text


def test_a_comment_gets_one_public_reply_and_the_ledger_shows_one_of_each_channel(api):
    target = comment(api, id="a/b")["id"]
    assert reply(api, target).status_code == 200
    assert refused(reply(api, target), 400, 100, 2534025)
    assert send(api, target).status_code == 200
    assert refused(reply(api, "no such comment"), 400, 100, 2534025)
    assert [entry["channel"] for entry in ledger(api, comment_id=target)] == [
        "public_reply",
        "direct_message",
    ]


def test_a_public_reply_is_bound_to_the_same_rules(api):
    target = comment(api)["id"]
    assert refused(reply(api, target, headers={}), 401, 190)
    assert refused(reply(api, target, "x" * 1001), 400, 100)
    assert refused(reply(api, target, ""), 400, 100)
    fault(api, times=1, error=THROTTLED)
    assert refused(reply(api, target), 400, 4)
    assert ledger(api) == []


# --- The hour's limit


def usage(answer):
    """What the headers say: percent in both, and the minutes until more may be sent."""
    counters = json.loads(answer.headers["X-App-Usage"])
    [(_, [business])] = json.loads(answer.headers["X-Business-Use-Case-Usage"]).items()
    assert business.items() >= counters.items()
    assert counters["total_time"] == counters["total_cputime"] == 0
    return counters["call_count"], business["estimated_time_to_regain_access"]


def test_an_account_sends_so_many_messages_in_any_hour():
    with platform(hourly_limit=3) as api, time_machine.travel("2026-03-01T08:00Z") as clock:
        targets = [comment(api)["id"] for _ in range(5)]
        assert usage(send(api, targets[0])) == (33, 0)
        clock.shift(timedelta(minutes=20))
        assert usage(reply(api, targets[0])) == (66, 0)
        assert usage(send(api, targets[0])) == (66, 0)  # refused: it does not count
        assert usage(send(api, targets[1])) == (100, 40)
        over = send(api, targets[2])
        assert refused(over, 400, 613)
        assert usage(over) == (100, 40)
        clock.shift(timedelta(minutes=40, seconds=-1))
        assert refused(send(api, targets[2]), 400, 613)
        clock.shift(timedelta(seconds=1))
        assert send(api, targets[2]).status_code == 200
        assert refused(send(api, targets[3]), 400, 613)
        assert len(ledger(api)) == 4


def test_each_account_has_its_own_hour():
    with platform(hourly_limit=1) as api:
        one, two, three = (comment(api)["id"] for _ in range(3))

        def send_as(account, target):
            body = {"recipient": {"comment_id": target}, "message": {"text": "Hello"}}
            query = {"account": account}
            return api.post("/messages", json=body, params=query, headers=BEARER)

        assert send_as("a", one).status_code == 200
        assert refused(send_as("a", two), 400, 613)
        assert send_as("b", two).status_code == 200
        assert send(api, three).status_code == 200
        assert [entry["account"] for entry in ledger(api)] == ["a", "b", ""]


def test_of_many_at_once_no_more_than_the_limit_get_through():
    with platform(hourly_limit=7) as api:
        targets = [comment(api)["id"] for _ in range(20)]
        with ThreadPoolExecutor(10) as pool:
            answers = pool.map(lambda target: send(api, target).status_code, targets)
            assert Counter(answers) == {400: 13, 200: 7}


def test_the_limit_is_750_unless_there_is_none(tmp_path):
    with platform(tmp_path / "p.db") as api:
        assert usage(send(api, comment(api)["id"])) == (0, 0)
        for _ in range(7):
            answer = send(api, comment(api)["id"])
        assert usage(answer) == (100 * 8 // 750, 0)
    with platform(tmp_path / "p.db", hourly_limit=0) as api:
        answer = send(api, comment(api)["id"])
        assert answer.status_code == 200
        assert "X-App-Usage" not in answer.headers


def test_a_restart_does_not_begin_a_new_hour(tmp_path):
    with platform(tmp_path / "p.db", hourly_limit=1) as api:
        send(api, comment(api)["id"])
    with platform(tmp_path / "p.db", hourly_limit=1) as api:
        assert refused(send(api, comment(api)["id"]), 400, 613)


def test_faults_tell_the_usage_too(api):
    fault(api, times=1, error=THROTTLED)
    assert usage(send(api, comment(api)["id"])) == (0, 0)


# --- Chaos

LOST = {"drop_connection": True, "after_delivery": True}


def outcomes(api, count):
    """What so many messages to new comments came to: a status and code, or lost."""
    found: list[object] = []
    for _ in range(count):
        try:
            answer = send(api, comment(api)["id"])
        except httpx.RemoteProtocolError:
            found.append("lost")
        else:
            found.append((answer.status_code, answer.json().get("error", {}).get("code")))
    return found


def test_chaos_hits_its_share_and_the_seed_fixes_whom():
    def under(seed):
        with platform() as api:
            faults = [{"probability": 0.2, "error": THROTTLED}, {"probability": 0.1, **LOST}]
            answer = api.put("/chaos", json={"seed": seed, "faults": faults})
            assert answer.status_code == 200, answer.text
            found = outcomes(api, 200)
            drawn = [each["drawn"] for each in api.get("/chaos").json()["faults"]]
            assert drawn == [found.count((400, 4)), found.count("lost")]
            # what was lost had been delivered
            assert len(ledger(api)) == 200 - found.count((400, 4))
            return found

    first = under(1)
    assert 20 <= first.count((400, 4)) <= 60  # 40 expected
    assert 8 <= first.count("lost") <= 35  # 20 expected
    assert first == under(1)
    assert first != under(2)


def test_chaos_is_told_as_it_was_set_and_can_be_ended(api):
    set_to = {
        "seed": 5,
        "faults": [{"probability": 1.0, "after_delivery": False, "error": THROTTLED}],
    }
    told = api.put("/chaos", json=set_to).json()
    assert [each.pop("drawn") for each in told["faults"]] == [0]
    assert told == set_to
    assert refused(send(api, comment(api)["id"]), 400, 4)
    assert api.delete("/chaos").json() == {"faults": []} == api.get("/chaos").json()
    assert send(api, comment(api)["id"]).status_code == 200


def test_queued_faults_go_before_chaos(api):
    api.put("/chaos", json={"seed": 1, "faults": [{"probability": 1, "error": THROTTLED}]})
    fault(api, times=1, error={**THROTTLED, "code": 368})
    assert refused(send(api, comment(api)["id"]), 400, 368)
    assert refused(send(api, comment(api)["id"]), 400, 4)


def test_a_share_is_of_all_that_can_go_wrong_but_no_made_up_delivery():
    chances = every_fault(0.5)
    assert sum(chance.probability for chance in chances) == pytest.approx(0.5)
    faults = [chance.fault for chance in chances]
    errors = {fault.error for fault in faults if fault.error and not fault.after_delivery}
    assert errors == {error for row in ERRORS.values() for error in row} - set(ERRORS["used"])
    codes = {(error.code, error.error_subcode) for error in errors}
    assert {(4, None), (80014, None), (299, None), (551, 1545041), (190, 467)} <= codes
    after = [fault for fault in faults if fault.after_delivery]
    assert {(fault.error is None, fault.hang_seconds) for fault in after} == {
        (False, None),
        (True, None),
        (True, 35.0),
    }
    rows = Counter(round(chance.probability, 9) for chance in chances)
    assert len(rows) == len({len(row) for row in ERRORS.values()} | {1})


def test_every_fault_of_a_share_can_be_met(api):
    api.put("/chaos", json={"seed": 3, "share": 1.0, "hang_seconds": 0})
    assert len(set(outcomes(api, 150))) > 25
    assert len({entry["comment_id"] for entry in ledger(api)}) == len(ledger(api)) > 5


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"seed": 1},
        {"share": 0.5},
        {"seed": "1", "share": 0.5},
        {"seed": 1, "share": 1.1},
        {"seed": 1, "share": True},
        {"seed": 1, "share": 0.5, "faults": []},
        {"seed": 1, "share": 0.5, "hang_seconds": -1},
        {"seed": 1, "faults": {}},
        {"seed": 1, "faults": [1]},
        {"seed": 1, "faults": [{"drop_connection": True}]},
        {"seed": 1, "faults": [{"probability": 0.5}]},
        {"seed": 1, "faults": [{"probability": 0.6, **LOST}, {"probability": 0.6, **LOST}]},
        {"seed": 1, "faults": [{"probability": 0.5, "error": {"status": 400}}]},
    ],
)
def test_chaos_that_makes_no_sense_is_refused(api, body):
    assert refused(api.put("/chaos", json=body), 400, 100)
    assert api.get("/chaos").json() == {"faults": []}


# --- Webhooks

SECRET = "app secret"


@contextmanager
def told(status=200, fail_first=0):
    """A client of a fake platform that tells somebody; and the events, their signatures checked."""
    events, left = [], [fail_first]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            right = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
            failing, left[0] = left[0] > 0, left[0] - 1
            if self.headers["X-Hub-Signature-256"] == f"sha256={right}" and not failing:
                assert body.isascii()  # Meta escapes the rest
                events.extend(json.loads(body)["entry"][0]["messaging"])
            self.send_response(500 if failing else status)
            self.end_headers()

        def log_message(self, *args):
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            target = WebhookTarget(f"http://127.0.0.1:{server.server_port}/", SECRET)
            with platform(webhook=target) as api:
                yield api, events
        finally:
            server.shutdown()
            thread.join()


def test_what_was_delivered_is_echoed():
    with told() as (api, events):
        target = comment(api, author="mira")["id"]
        answer = send(api, target, "Hallo ä").json()
        send(api, target)  # refused, so there is nothing to echo
        reply(api, target)  # no private message
        eventually(lambda: events)
        time.sleep(0.2)
        [event] = events
    assert abs(event.pop("timestamp") / 1000 - time.time()) < 60
    assert event == {
        "sender": {"id": "fake_account"},
        "recipient": {"id": answer["recipient_id"], "username": "mira"},
        "message": {"mid": answer["message_id"], "text": "Hallo ä", "is_echo": True},
    }


@pytest.mark.parametrize("after_delivery", [True, False])
def test_a_lost_answer_is_echoed_if_the_message_was_delivered(after_delivery):
    with told() as (api, events):
        fault(api, times=1, drop_connection=True, after_delivery=after_delivery)
        with pytest.raises(httpx.RemoteProtocolError):
            send(api, comment(api)["id"], "first")
        send(api, comment(api)["id"], "second")
        texts = ["first", "second"] if after_delivery else ["second"]
        eventually(lambda: [event["message"]["text"] for event in events] == texts)


def test_people_can_write_to_the_account():
    with told() as (api, events):
        target = comment(api, author="mira")["id"]
        answer = api.post("/inbox", json={"comment_id": target, "text": "STOP"})
        assert answer.status_code == 201
        api.post("/inbox", json={"author": "tom", "text": "Wie viel? ä"})
        eventually(lambda: len(events) == 2)
    stop, question = events
    assert stop["sender"]["username"] == "mira"
    assert stop["recipient"] == {"id": "fake_account"}
    assert stop["message"] == {"mid": answer.json()["message_id"], "text": "STOP"}
    assert (question["sender"]["username"], question["message"]["text"]) == ("tom", "Wie viel? ä")


@pytest.mark.parametrize(
    "body",
    [
        {"text": "STOP"},
        {"author": "mira"},
        {"author": "", "text": "STOP"},
        {"author": "mira", "text": ""},
        {"comment_id": "no such comment", "text": "STOP"},
        {"author": "mira", "text": "STOP", "more": 1},
    ],
)
def test_a_letter_from_nobody_is_refused(body):
    with told() as (api, events):
        assert refused(api.post("/inbox", json=body), 400, 100)
    assert events == []


def test_without_a_webhook_nobody_can_be_told(api):
    assert refused(api.post("/inbox", json={"author": "mira", "text": "STOP"}), 400, 100)


def test_an_event_that_was_not_taken_is_told_again():
    with told(fail_first=1) as (api, events):
        send(api, comment(api)["id"])
        eventually(lambda: len(events) == 1)


def test_stopping_does_not_wait_for_a_listener_that_fails(caplog):
    start = time.monotonic()
    with told(status=503) as (api, events):
        send(api, comment(api)["id"])
        eventually(lambda: events)
    assert time.monotonic() - start < 3
    assert "were not pushed" in caplog.text
    assert SECRET not in caplog.text


# --- Faults

THROTTLED = {"status": 400, "code": 4, "error_subcode": None, "message": "Slow down"}


def fault(api, **body):
    answer = api.post("/faults", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"after_delivery": False, **body}


def test_an_error_fault_hits_the_next_messages_and_then_ends(api):
    target = comment(api)["id"]
    fault(api, times=2, error=THROTTLED)
    for left in (1, 0):
        answer = send(api, target)
        assert refused(answer, 400, 4)
        assert answer.json()["error"]["message"] == "Slow down"
        assert [item["times"] for item in api.get("/faults").json()["data"]] == [left] * left
    assert ledger(api) == []
    assert send(api, target).status_code == 200


def test_an_error_after_delivery_leaves_the_message_in_the_ledger(api):
    target = comment(api)["id"]
    sent_but = {"status": 500, "code": 1, "error_subcode": 1357046, "message": "Sent, but"}
    fault(api, times=1, error=sent_but, after_delivery=True)
    assert refused(send(api, target), 500, 1, 1357046)
    assert len(ledger(api)) == 1
    assert refused(send(api, target), 400, 100, 2534025)


@pytest.mark.parametrize("after_delivery", [False, True])
def test_a_hang_outlasts_the_callers_patience(api, after_delivery):
    target = comment(api)["id"]
    fault(api, times=1, hang_seconds=30.0, after_delivery=after_delivery)
    with pytest.raises(httpx.ReadTimeout):
        api.post(
            "/messages",
            json={"recipient": {"comment_id": target}, "message": {"text": "Hello"}},
            headers=BEARER,
            timeout=0.3,
        )
    assert len(ledger(api)) == int(after_delivery)
    assert send(api, target).status_code == (400 if after_delivery else 200)


def test_a_hang_ends_in_a_closed_connection(api):
    target = comment(api)["id"]
    fault(api, times=1, hang_seconds=0.3)
    start = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError):
        send(api, target)
    assert 0.3 <= time.monotonic() - start < 5
    assert ledger(api) == []


@pytest.mark.parametrize("after_delivery", [False, True])
def test_a_dropped_connection_gives_no_answer(api, after_delivery):
    target = comment(api)["id"]
    fault(api, times=1, drop_connection=True, after_delivery=after_delivery)
    with pytest.raises(httpx.RemoteProtocolError):
        send(api, target)
    assert len(ledger(api)) == int(after_delivery)


def test_faults_are_used_up_in_order_and_can_be_cleared(api):
    target = comment(api)["id"]
    fault(api, times=1, error=THROTTLED)
    fault(api, times=5, drop_connection=True)
    assert refused(send(api, target), 400, 4)
    assert api.get("/faults").json() == {
        "data": [{"times": 5, "drop_connection": True, "after_delivery": False}]
    }
    assert api.delete("/faults").json() == {"data": []}
    assert send(api, target).status_code == 200


def test_a_fault_hits_exactly_as_many_messages_at_once(api):
    targets = [comment(api)["id"] for _ in range(20)]
    fault(api, times=7, error=THROTTLED)
    with ThreadPoolExecutor(10) as pool:
        answers = pool.map(lambda target: send(api, target).status_code, targets)
        assert Counter(answers) == {400: 7, 200: 13}


@pytest.mark.parametrize(
    "body",
    [
        {"times": 1},
        {"drop_connection": True},
        {"times": 0, "drop_connection": True},
        {"times": True, "drop_connection": True},
        {"times": 1, "drop_connection": False},
        {"times": 1, "drop_connection": True, "hang_seconds": 1},
        {"times": 1, "hang_seconds": -1},
        {"times": 1, "hang_seconds": "1"},
        {"times": 1, "hang_seconds": 10**400},
        {"times": 1, "error": {"status": 200, "code": 4}},
        {"times": 1, "error": {"status": 400}},
        {"times": 1, "error": {"status": 400, "code": 4, "subcode": 1}},
        {"times": 1, "drop_connection": True, "after_delivery": "yes"},
        {"times": 1, "drop_connection": True, "after": True},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(api, body):
    assert refused(api.post("/faults", json=body), 400, 100)
    assert api.get("/faults").json() == {"data": []}


# --- HTTP


def test_the_page_escapes_what_people_write(api):
    nasty = "<script>alert('x')</script>\"&"
    comment(api, nasty, nasty, post="%3Cimg%20src=x%3E", id="1")
    send(api, "1", nasty)
    answer = api.get("/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    assert answer.headers["Content-Security-Policy"] == policy
    assert '<meta http-equiv="refresh" content="5">' in answer.text
    assert "<script" not in answer.text
    assert "<img" not in answer.text
    assert answer.text.count("&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&quot;&amp;") == 3


def test_the_page_shows_the_newest_hundred_messages(api):
    assert "No messages yet." in api.get("/").text
    for number in range(102):
        send(api, comment(api)["id"], f"message-{number}.")
    shown = re.findall(r"message-(\d+)\.", api.get("/").text)
    assert shown == [str(number) for number in range(101, 1, -1)]


def test_health_unknown_paths_and_wrong_methods(api):
    assert api.get("/health").json() == {"status": "ok"}
    assert refused(api.get("/nothing"), 404, 2500)
    assert refused(api.put("/messages"), 405, 100)


def test_a_connection_is_kept_and_survives_a_refusal(api):
    with socket.create_connection((api.base_url.host, api.base_url.port), timeout=5) as raw:
        stream = raw.makefile("rb")
        for body, status in ((b"{broken", b"400"), (b'{"text":"a","author":"b"}', b"201")):
            head = f"POST /posts/p/comments HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
            raw.sendall(head.encode() + b"\r\n\r\n" + body)
            assert stream.readline().split()[1] == status
            length = 0
            while line := stream.readline().strip():
                if line.startswith(b"Content-Length:"):
                    length = int(line.split()[1])
            stream.read(length)


@pytest.mark.parametrize(
    "header", ["Content-Length: -1", "Content-Length: 1048577", "Transfer-Encoding: chunked"]
)
def test_a_body_of_unknown_or_excessive_size_ends_the_connection(api, header):
    with socket.create_connection((api.base_url.host, api.base_url.port), timeout=5) as raw:
        raw.sendall(f"POST /messages HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
        assert raw.makefile("rb").read().startswith(b"HTTP/1.1 413 ")


def test_stopping_waits_for_no_hang_and_no_idle_connection():
    with (
        closing(Store(":memory:")) as store,
        running(store) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=30) as api,
        ThreadPoolExecutor(1) as pool,
    ):
        target = comment(api)["id"]
        fault(api, times=1, hang_seconds=600.0)
        hanging = pool.submit(send, api, target)
        eventually(lambda: api.get("/faults").json() == {"data": []})
        start = time.monotonic()
        server.stop()
        assert isinstance(hanging.exception(timeout=5), httpx.RemoteProtocolError)
        assert time.monotonic() - start < 5
        with pytest.raises(httpx.ConnectError):
            api.get("/health")


# --- Player

SAMPLES = [Sample("p1", "mira", f"comment {number}") for number in range(50)]


def played(store, post_id="p1"):
    return [item["text"] for item in store.comments(post_id, 0, 10_000).comments]


def test_the_player_keeps_its_rate():
    with closing(Store(":memory:")) as store:
        with playing(store, SAMPLES, rate=50):
            time.sleep(2)
        count = len(played(store))
        assert 80 <= count <= 101
        time.sleep(0.1)
        assert len(played(store)) == count


def test_the_player_takes_a_fraction_of_a_comment_a_second_and_stops_at_once():
    with closing(Store(":memory:")) as store:
        start = time.monotonic()
        with playing(store, SAMPLES, rate=0.01):
            pass
        assert time.monotonic() - start < 2
        assert played(store) == []


def test_the_seed_fixes_the_order_and_every_sample_comes_before_any_comes_again():
    def order(seed):
        with closing(Store(":memory:")) as store:
            with playing(store, SAMPLES, rate=2000, seed=seed):
                eventually(lambda: len(played(store)) >= 100)
            return played(store)[:100]

    first = order(1)
    assert first == order(1)
    assert first != order(2)
    assert set(first[:50]) == set(first[50:]) == {sample.text for sample in SAMPLES}


@contextmanager
def listener(status=200, delay=0.0):
    """A stand-in for ThreadsAgent: yields its address and what was pushed to it."""
    calls = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            calls.append((self.path, self.headers.get("Authorization"), body))
            time.sleep(delay)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/push", calls
        finally:
            server.shutdown()
            thread.join()


def pushed(seed, count=400):
    """What a player with this seed pushed of its first comments: texts and how often each."""
    with closing(Store(":memory:")) as store, listener() as (url, calls):
        target = PushTarget(url, "secret")
        with playing(store, SAMPLES, rate=300, seed=seed, push=target):
            eventually(lambda: len(played(store)) > count + 50, seconds=30)
            marker = store.comments("p1", count, 1).last
            eventually(lambda: numbers(calls) and max(numbers(calls)) > marker, seconds=30)
        rows = {item["id"]: item for item in store.comments("p1", 0, 10_000).comments}
    for path, token, body in calls:
        (item,) = body["comments"]
        assert (path, token, body["post_id"]) == ("/push", "Token secret", "p1")
        assert set(item) == {"id", "text", "author", "timestamp", *AUTHOR_FACTS}
        assert rows[item["id"]] == {**item, "post_id": "p1"}
    return Counter(number for number in numbers(calls) if number <= count)


def numbers(calls):
    return [int(body["comments"][0]["id"].removeprefix("fake_")) for _, _, body in list(calls)]


def test_some_comments_are_never_pushed_and_some_twice_and_the_seed_fixes_which():
    times = pushed(seed=7)
    never = 400 - len(times)
    twice = sum(1 for count in times.values() if count == 2)
    assert set(times.values()) == {1, 2}
    assert 80 <= never <= 160  # 120 expected
    assert 15 <= twice <= 70  # 40 expected
    assert times == pushed(seed=7)


def test_the_player_goes_on_when_pushes_fail(caplog):
    with closing(Store(":memory:")) as store:
        with (
            listener(status=503) as (url, calls),
            playing(store, SAMPLES, rate=200, seed=1, push=PushTarget(url, "secret")),
        ):
            eventually(lambda: len(calls) >= 5)
        # And now nobody listens there.
        with playing(store, SAMPLES, rate=200, seed=1, push=PushTarget(url, "secret")):
            seen = len(played(store))
            eventually(lambda: len(played(store)) > seen + 50)
    assert "was not pushed" in caplog.text
    assert "secret" not in caplog.text


def test_slow_pushes_do_not_slow_the_comments():
    with closing(Store(":memory:")) as store, listener(delay=0.5) as (url, calls):
        with playing(store, SAMPLES, rate=100, seed=1, push=PushTarget(url, "secret")):
            eventually(lambda: len(played(store)) >= 100, seconds=5)
        assert len(calls) <= 10


# --- Samples


def test_the_samples_are_a_varied_mix_over_four_posts():
    samples = load_samples()
    assert len(samples) >= 150
    assert len(set(samples)) == len(samples)
    assert len({sample.text for sample in samples}) >= 0.95 * len(samples)
    assert 60 <= len({sample.author for sample in samples}) <= 100
    posts = Counter(sample.post_id for sample in samples)
    assert len(posts) == 4
    assert all(re.fullmatch(r"nordlicht(-[a-z]+)+", post) for post in posts)
    assert min(posts.values()) >= 20
    for sample in samples:
        assert sample.text == sample.text.strip() != ""
        assert re.fullmatch(r"[a-z0-9._]+", sample.author)


def test_the_samples_have_a_few_influencers_and_each_author_the_same_facts_everywhere():
    people = {(s.author, s.author_followers, s.author_verified) for s in load_samples()}
    assert len({author for author, _, _ in people}) == len(people)
    assert 2 <= sum(verified for _, _, verified in people) <= 10
    assert 2 <= sum((followers or 0) >= 10_000 for _, followers, _ in people) <= 10
    assert any(followers is None for _, followers, _ in people)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"post_id": "p", "author": "a"}',
        '{"post_id": "p", "author": "a", "text": " "}',
        '{"post_id": "p", "author": "a", "text": 1}',
        '{"post_id": "p", "author": "a", "text": "t", "more": "m"}',
        '{"post_id": "p", "author": "a", "text": "t", "author_followers": -1}',
        '{"post_id": "p", "author": "a", "text": "t", "author_followers": "many"}',
        '{"post_id": "p", "author": "a", "text": "t", "author_verified": 1}',
    ],
)
def test_a_bad_samples_file_is_refused_with_its_place(tmp_path, text):
    path = tmp_path / "samples.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"samples\.jsonl"):
        load_samples(path)


# --- The process


def command(*arguments, **environment):
    settings = {"SECRET_KEY": "x", "DATABASE_URL": "postgres://x", "REDIS_URL": "redis://x"}
    return subprocess.Popen(
        [sys.executable, "manage.py", "fake_platform", "--port", "0", *arguments],
        cwd=ROOT,
        env={**os.environ, **settings, "CELERY_BROKER_URL": "redis://x", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ends(process):
    """Exit status and what is left of the output."""
    output, errors = process.communicate(timeout=30)
    return process.returncode, output, errors


@pytest.mark.integration
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_process_plays_pushes_and_stops_cleanly(tmp_path, stop):
    data = tmp_path / "platform.db"
    with listener() as (push_url, calls):
        process = command(
            *("--data", str(data), "--play", "50", "--seed", "1", "--push-url", push_url),
            *("--webhook-url", f"{push_url}/events", "--hourly-limit", "1", "--chaos", "0"),
            FAKE_PLATFORM_PUSH_TOKEN="secret",
            FAKE_PLATFORM_APP_SECRET="secret",
        )
        try:
            line = process.stdout.readline()
            address = re.fullmatch(r"fake platform listening on (http://127\.0\.0\.1:\d+)\n", line)
            assert address, (line, ends(process))
            with httpx.Client(base_url=address[1], trust_env=False) as api:
                eventually(lambda: calls and api.get("/posts").json()["data"])
                assert calls[0][1] == "Token secret"
                post = api.get("/posts").json()["data"][0]["post_id"]
                target = api.get(f"/posts/{post}/comments").json()["data"][0]["id"]
                assert usage(send(api, target)) == (100, 60)
                eventually(lambda: any(path == "/push/events" for path, _, _ in calls))
                assert api.get("/chaos").json()["seed"] == 1
            process.send_signal(stop)
            status, output, errors = ends(process)
            assert (status, output) == (0, "")
            assert "Traceback" not in errors
        finally:
            process.kill()
    with closing(Store(data)) as store:
        assert [message["comment_id"] for message in store.messages()] == [target]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--push-url", "http://127.0.0.1:1/"], "needs --play"),
        (["--play", "1", "--push-url", "http://127.0.0.1:1/"], "FAKE_PLATFORM_PUSH_TOKEN"),
        (["--play", "1", "--push-url", "nowhere"], "http://"),
        (["--play", "0"], "more than 0"),
        (["--play", "1", "--samples", "no/such/file"], "cannot read the samples"),
        (["--data", "no/such/folder/file"], "cannot start"),
        (["--port", "70000"], "0 to 65535"),
        (["--webhook-url", "http://127.0.0.1:1/"], "FAKE_PLATFORM_APP_SECRET"),
        (["--hourly-limit", "-1"], "0 (none) or more"),
        (["--chaos", "1.5"], "a share is 0 to 1"),
    ],
)
def test_the_process_says_what_is_wrong_with_its_options(arguments, complaint):
    secrets = {"FAKE_PLATFORM_PUSH_TOKEN": "", "FAKE_PLATFORM_APP_SECRET": ""}
    status, output, errors = ends(command(*arguments, **secrets))
    assert status != 0
    assert output == ""
    assert complaint in errors
    assert "Traceback" not in errors
