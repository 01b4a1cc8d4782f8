"""What a platform tells us: only who knows the secret is heard, and once more does no harm."""

import json
import logging
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from dmtrigger import incoming_views, links, outbox, people
from dmtrigger.models import AuditEntry, DirectMessage, Person
from dmtrigger.retry import Kind, Outcome, Usage
from dmtrigger.senders import senders
from dmtrigger.states import State
from tests.factories import DirectMessageFactory
from threadsagent.fake_platform.server import running
from threadsagent.fake_platform.store import Store
from threadsagent.fake_platform.webhooks import WebhookTarget, signature

pytestmark = pytest.mark.django_db

PATH = "/webhooks/fake_platform"
SECRET = "app secret"
HANDSHAKE = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": "verify"}


@pytest.fixture(autouse=True)
def configured(settings) -> None:
    settings.FAKE_PLATFORM_APP_SECRET = SECRET
    settings.FAKE_PLATFORM_VERIFY_TOKEN = "verify"


@pytest.fixture
def told(client):
    """`told(event, …)`: the answer to a call with these events, rightly signed."""

    def told(*events: Any) -> Any:
        return call(client, an_entry(*events))

    return told


def an_entry(*events: Any) -> dict[str, Any]:
    return {
        "object": "instagram",
        "entry": [{"id": "fake_account", "time": 1, "messaging": list(events)}],
    }


def call(client, content: Any, *, signed: str | None = None) -> Any:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    header = signature(SECRET, body) if signed is None else signed
    return client.post(
        PATH, body, content_type="application/json", headers={"X-Hub-Signature-256": header}
    )


def an_echo(text: str, *, to: str | None = "ada", mid: str = "m1") -> dict[str, Any]:
    return {
        "sender": {"id": "fake_account"},
        "recipient": {"id": "17"} | ({"username": to} if to else {}),
        "timestamp": now_ms(),
        "message": {"mid": mid, "text": text, "is_echo": True},
    }


def an_answer(text: str, *, by: str = "ada", at: Any = None) -> dict[str, Any]:
    return {
        "sender": {"id": "17", "username": by},
        "recipient": {"id": "fake_account"},
        "timestamp": now_ms() if at is None else at,
        "message": {"mid": "m2", "text": text},
    }


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def in_doubt(**fields: Any) -> DirectMessage:
    """A message of which nobody knows whether it went out."""
    return DirectMessageFactory(
        **{"state": State.UNKNOWN, "maybe_delivered": True, "attempts": 1} | fields
    )


def state_of(message: DirectMessage) -> str:
    message.refresh_from_db()
    return message.state


# --- who is heard -----------------------------------------------------------------------------


def test_the_handshake_returns_the_challenge_as_it_came(client):
    answer = client.get(PATH, HANDSHAKE)
    assert (answer.status_code, answer.content) == (200, b"1158201444")
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    "change",
    [
        {"hub.verify_token": "wrong"},
        {"hub.verify_token": ""},
        {"hub.verify_token": "värify"},
        {"hub.mode": "unsubscribe"},
    ],
)
def test_a_handshake_with_the_wrong_token_is_refused(client, change):
    assert client.get(PATH, HANDSHAKE | change).status_code == 403


def test_without_a_verify_token_there_is_no_handshake(client, settings):
    settings.FAKE_PLATFORM_VERIFY_TOKEN = ""
    assert client.get(PATH, HANDSHAKE | {"hub.verify_token": ""}).status_code == 403


def test_without_a_secret_nobody_is_heard(client, settings):
    settings.FAKE_PLATFORM_APP_SECRET = ""
    content = an_entry(an_answer("STOP"))
    unkeyed = signature("", json.dumps(content).encode())
    assert call(client, content, signed=unkeyed).status_code == 403
    assert client.get(PATH, HANDSHAKE).status_code == 403
    assert not Person.objects.exists()


@pytest.mark.parametrize(
    "forge",
    [
        lambda body: "",
        lambda body: "sha256=",
        lambda body: "sha256=ä",
        lambda body: signature("another secret", body),
        lambda body: signature(SECRET, body + b" "),
        lambda body: signature(SECRET, body).removeprefix("sha256="),
        lambda body: signature(SECRET, body).replace("sha256", "sha1"),
    ],
)
def test_what_is_not_signed_with_the_secret_is_refused(client, forge):
    content = an_entry(an_answer("STOP"))
    answer = call(client, content, signed=forge(json.dumps(content).encode()))
    assert answer.status_code == 403
    assert not Person.objects.exists()


def test_the_signature_is_of_the_bytes_as_they_came(client):
    # Meta escapes what is not ASCII, and nobody's serialiser gives the same bytes again.
    body = b'{ "object":"instagram" , "entry":[{"messaging":[%s]}]}' % (
        json.dumps(an_answer("st\u00f6p", by="j\u00f6rg")).encode()
    )
    assert b"\\u00f6" in body
    assert call(client, body).status_code == 200
    assert Person.objects.get().name == "jörg"


def test_a_signed_call_needs_no_csrf_token():
    answer = call(Client(enforce_csrf_checks=True), an_entry(an_answer("hello")))
    assert answer.status_code == 200


def test_a_body_that_is_too_large_is_not_read(client, monkeypatch):
    monkeypatch.setattr(incoming_views, "MAX_BYTES", 100)
    assert call(client, an_entry(an_answer("STOP" * 100))).status_code == 413
    assert call(client, {"entry": []}).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_signed_body_that_is_no_json_is_refused(client, body):
    assert call(client, body).status_code == 400


# --- echoes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("link", [links.short_link, links.opt_out_link])
def test_an_echo_with_our_link_settles_the_message_it_belongs_to(told, link):
    message, other = in_doubt(), in_doubt()
    text = f"Hi ada: {link(message.comment_id)}\n(automated)"
    assert told(an_echo(text, mid="m17")).status_code == 200
    assert (state_of(message), message.platform_message_id) == (State.SENT, "m17")
    assert (message.sent_at is not None, message.next_attempt_at) == (True, None)
    assert state_of(other) == State.UNKNOWN


def test_a_link_that_we_have_not_made_settles_nothing(told):
    message = in_doubt()
    token = links.token_of(message.comment_id)
    forged = ("B" if token[-1] == "A" else "A").join((token[:-1], ""))
    told(an_echo(f"https://x/r/{forged}"), an_echo(f"https://x/q/{token}"))
    assert state_of(message) == State.UNKNOWN


def test_an_echo_without_a_link_settles_the_one_open_message_with_its_text(told):
    message, other = in_doubt(text="Hi ada!"), in_doubt(text="Hi ada")
    told(an_echo("Hi ada!"))
    assert (state_of(message), state_of(other)) == (State.SENT, State.UNKNOWN)


@pytest.mark.parametrize("to", ["ada", None])
def test_of_two_open_messages_with_one_text_none_is_settled(told, to):
    one, two = in_doubt(text="Hi"), in_doubt(text="Hi")
    told(an_echo("Hi", to=to))
    assert (state_of(one), state_of(two)) == (State.UNKNOWN, State.UNKNOWN)


def test_the_recipient_tells_messages_with_one_text_apart(told):
    hers, his = in_doubt(text="Hi"), in_doubt(text="Hi", recipient="bob")
    told(an_echo("Hi", to="bob"))
    assert (state_of(hers), state_of(his)) == (State.UNKNOWN, State.SENT)


def test_the_echo_of_a_sent_message_settles_no_other_with_its_text(told):
    in_doubt(text="Hi", recipient="bob", state=State.SENT, platform_message_id="m1")
    message = in_doubt(text="Hi")
    told(an_echo("Hi", to=None, mid="m1"))
    assert state_of(message) == State.UNKNOWN


def test_an_echo_may_come_before_the_answer(told, fake_platform):
    comment = fake_platform.store.add_comment("p1", text="price?", author="ada")
    message = DirectMessageFactory(review__intent__comment__external_id=comment["id"])
    claimed = outbox._claim(senders())
    assert claimed is not None
    told(an_echo(links.short_link(message.comment_id), mid="m1"))
    assert state_of(message) == State.SENT
    outbox._record(claimed[1], Outcome(Kind.UNKNOWN, "no answer", usage=Usage(80)))
    assert (state_of(message), message.platform_message_id) == (State.SENT, "m1")
    assert message.account.usage_percent == 80


@pytest.mark.parametrize(
    "state", [State.PENDING, State.SENT, State.FAILED, State.CANCELLED, State.EXPIRED]
)
def test_an_echo_moves_no_message_whose_outcome_is_known(told, state):
    message = in_doubt(state=state, platform_message_id="before")
    assert told(an_echo(links.short_link(message.comment_id))).status_code == 200
    assert (state_of(message), message.platform_message_id) == (state, "before")


def test_an_echo_told_twice_is_one_event(told):
    message = in_doubt()
    for _ in range(2):
        assert told(an_echo(links.short_link(message.comment_id))).status_code == 200
    assert message.events.count() == 1


# --- people -----------------------------------------------------------------------------------


def test_a_stop_is_obeyed_at_once(told):
    assert told(an_answer("Stop!")).status_code == 200
    person = Person.objects.get(source="fake_platform", name="ada")
    assert people.is_opted_out(person, timezone.now())
    assert (person.opted_out_by, person.opted_out_until) == (Person.By.REPLY, None)


def test_any_other_answer_only_says_when_they_wrote(told):
    told(an_answer("How much?", at=1_700_000_000_000))
    person = Person.objects.get(name="ada")
    assert person.opted_out_at is None
    assert person.last_wrote_at == datetime.fromtimestamp(1_700_000_000, UTC)


def test_a_stop_told_twice_is_one_opt_out(told):
    told(an_answer("STOP"))
    before = Person.objects.get()
    told(an_answer("STOP"))
    assert Person.objects.get().opted_out_at == before.opted_out_at
    assert AuditEntry.objects.filter(action="opt out").count() == 1


def test_a_stop_makes_an_opt_out_with_an_end_one_for_good(told):
    people.opt_out("fake_platform", "ada", Person.By.LINK, days=7)
    told(an_answer("STOP"))
    assert Person.objects.get().opted_out_until is None


def test_what_we_say_is_no_persons_stop(told):
    told(an_echo("STOP"))
    assert not Person.objects.exists()


@pytest.mark.parametrize("at", ["soon", None, -(10**30), 10**30, float("nan"), True, []])
def test_a_stop_without_a_usable_time_is_obeyed(told, at):
    event = an_answer("STOP") | {"timestamp": at}
    assert told(event).status_code == 200
    person = Person.objects.get()
    assert person.opted_out_at is not None
    assert person.last_wrote_at is not None
    assert timezone.now() - person.last_wrote_at < timedelta(minutes=1)


# --- what is broken ---------------------------------------------------------------------------

BROKEN: list[Any] = [
    None,
    "event",
    {},
    {"sender": {}, "recipient": {}, "message": "STOP"},
    {"sender": {"id": "17"}, "recipient": {}, "message": {"mid": "m", "text": "STOP"}},
    {"sender": "ada", "recipient": {}, "message": {"mid": "m", "text": "STOP"}},
    an_answer("STOP", by=""),
    an_answer("STOP", by="x" * 101),
    an_answer(["STOP"]),  # type: ignore[arg-type]
    an_echo("Hi", mid=""),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_event_is_named_and_costs_the_others_nothing(told, caplog, broken):
    with caplog.at_level(logging.WARNING):
        assert told(an_answer("hello", by="bea"), broken, an_answer("STOP")).status_code == 200
    assert set(Person.objects.values_list("name", flat=True)) == {"ada", "bea"}
    [record] = [record for record in caplog.records if record.name == "dmtrigger.incoming"]
    assert record.at == "entry 0, event 1"
    assert record.problem


@pytest.mark.parametrize(
    "content",
    [[], 17, {}, {"entry": 3}, {"entry": [3]}, {"entry": [{}]}, {"entry": [{"messaging": {}}]}],
)
def test_a_broken_call_is_named_and_not_repeated(client, caplog, content):
    with caplog.at_level(logging.WARNING):
        assert call(client, content).status_code == 200
    assert "an event was left out" in caplog.text


def test_text_that_the_database_cannot_hold_costs_nothing(told):
    message = in_doubt(text="Hi")
    bad = "\x00\ud800"
    events = an_echo("Hi\x00", mid=f"m{bad}"), an_answer(f"STOP{bad}", by=f"ada{bad}")
    assert told(*events).status_code == 200
    assert state_of(message) == State.SENT
    assert Person.objects.get().name == "ada?"


def test_what_is_no_message_is_passed_over_in_silence(told, caplog):
    seen = {"sender": {"id": "1"}, "recipient": {"id": "2"}, "read": {"mid": "m"}}
    picture = an_answer("") | {"message": {"mid": "m", "attachments": []}}
    with caplog.at_level(logging.WARNING):
        assert told(seen, picture).status_code == 200
    assert caplog.records == []
    assert Person.objects.get().last_wrote_at is not None


def test_what_could_not_be_stored_is_not_acknowledged(client, monkeypatch):
    def away(*_: object) -> None:
        raise OperationalError

    monkeypatch.setattr(people, "wrote", away)
    client.raise_request_exception = False
    assert call(client, an_entry(an_answer("STOP"))).status_code == 500


# --- over real HTTP ---------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_fake_platforms_echo_settles_a_lost_answer_and_its_people_can_say_stop(
    live_server, settings
):
    target = WebhookTarget(f"{live_server.url}{PATH}", SECRET)
    with closing(Store(":memory:")) as store, running(store, webhook=target) as platform:
        settings.FAKE_PLATFORM_URL = platform.url
        lost = {"times": 1, "after_delivery": True, "drop_connection": True}
        httpx.post(f"{platform.url}/faults", json=lost).raise_for_status()
        comment = store.add_comment("p1", text="price?", author="ada")
        message = DirectMessageFactory(review__intent__comment__external_id=comment["id"])
        message.text = f"Hi: {links.short_link(message.comment_id)}"
        message.save()
        outbox.deliver_next()
        eventually(lambda: state_of(message) == State.SENT)
        assert message.platform_message_id == store.messages()[0]["message_id"]
        assert message.attempts == 1

        said = {"comment_id": comment["id"], "text": "stop, please"}
        httpx.post(f"{platform.url}/inbox", json=said).raise_for_status()
        eventually(lambda: Person.objects.filter(name="ada", opted_out_by="reply").exists())


def eventually(check: Any) -> None:
    end = time.monotonic() + 10
    while not check():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
