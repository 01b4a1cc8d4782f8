"""The contract of a sender, run over every sender there is; and what each answer means."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import httpx
import pytest
from standardwebhooks import Webhook

from comments import http
from dmtrigger.outbox import STUCK_AFTER
from dmtrigger.retry import Kind, Outcome, Usage
from dmtrigger.senders import fake_platform as fake_platform_sender
from dmtrigger.senders import sender_for, senders
from dmtrigger.senders import webhook as webhook_sender
from dmtrigger.senders.contract import Channel, Delivery, Endpoint, Sender
from dmtrigger.signing import new_secret
from threadsagent.fake_platform.chaos import ERRORS

NOWHERE = "http://127.0.0.1:9"
SECRET = new_secret()


class Receiver:
    """A system that takes messages over: over real HTTP, and each only once, by its webhook-id."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], str]] = []
        self.taken: dict[str, dict[str, Any]] = {}
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.calls.append((dict(self.headers), body))
                # As a receiver should: Webhook.verify raises for a wrong signature.
                content = Webhook(SECRET).verify(body, dict(self.headers))
                if receiver.answers:
                    receiver.answers.pop(0)(self)
                    return
                receiver.taken.setdefault(self.headers["webhook-id"], content)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"message_id": f"m {content['key']}"}).encode())

            def log_message(self, *_: object) -> None:
                """Not to the tests' output."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/take"

    def answers_with(self, status: int, body: bytes = b"", **headers: str) -> None:
        """What the next call is answered; nothing is taken."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers.append(answer)


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with serving(receiver.server):
        yield receiver


class Case(NamedTuple):
    """A sender, what it is given for a new comment, and what arrived over there."""

    sender: Sender
    delivery: Callable[[str], Delivery]
    arrived: Callable[[], list[tuple[str, str]]]
    """Comment and text of each."""
    cut_off: Callable[[], None]
    """Take the platform away."""
    lose_answer: Callable[[float], None]
    """The next call closes the connection unanswered, after so many seconds."""


def on_the_fake_platform(channel: Channel, request) -> Case:
    platform, settings = (
        request.getfixturevalue("fake_platform"),
        request.getfixturevalue("settings"),
    )

    def delivery(text: str) -> Delivery:
        comment = platform.store.add_comment("p1", text="price?", author="ada")
        return a_delivery(comment["id"], text, channel)

    def arrived() -> list[tuple[str, str]]:
        found = platform.store.messages()
        assert all(message["channel"] == channel for message in found)
        return [(message["comment_id"], message["text"]) for message in found]

    return Case(
        sender=senders()["fake_platform"],
        delivery=delivery,
        arrived=arrived,
        cut_off=lambda: setattr(settings, "FAKE_PLATFORM_URL", NOWHERE),
        lose_answer=lambda seconds: fail_next(platform, hang_seconds=seconds),
    )


def over_the_webhook(request) -> Case:
    receiver = request.getfixturevalue("receiver")
    where = {"url": receiver.url}

    def delivery(text: str) -> Delivery:
        key = f"c{len(receiver.taken)}"
        return a_delivery(
            key, text, Channel.WEBHOOK, endpoint=Endpoint(where["url"], SECRET), key=key
        )

    def arrived() -> list[tuple[str, str]]:
        return [(each["comment_id"], each["text"]) for each in receiver.taken.values()]

    return Case(
        sender=senders()["webhook"],
        delivery=delivery,
        arrived=arrived,
        cut_off=lambda: where.update(url=NOWHERE),
        lose_answer=lambda seconds: receiver.answers.append(lambda _: time.sleep(seconds)),
    )


CASES = {
    "fake_platform private": lambda request: on_the_fake_platform(Channel.DIRECT_MESSAGE, request),
    "fake_platform public": lambda request: on_the_fake_platform(Channel.PUBLIC_REPLY, request),
    "webhook": over_the_webhook,
}


@pytest.fixture(params=CASES)
def case(request) -> Case:
    return CASES[request.param](request)


def a_delivery(
    comment_id: str,
    text: str = "hi",
    channel: Channel = Channel.DIRECT_MESSAGE,
    key: str = "message-1",
    **more: Any,
) -> Delivery:
    return Delivery(
        key,
        comment_id,
        post_id="p1",
        account="",
        recipient="ada",
        text=text,
        channel=channel,
        **more,
    )


def fail_next(platform, **fault: Any) -> None:
    """Make the fake platform's next answer to a message go wrong."""
    httpx.post(f"{platform.url}/faults", json={"times": 1} | fault).raise_for_status()


# --- every sender -----------------------------------------------------------------------------


def test_every_channel_of_every_sender_is_tried_here():
    assert {
        (name, channel) for name, sender in senders().items() for channel in sender.channels
    } == {
        ("fake_platform", Channel.DIRECT_MESSAGE),
        ("fake_platform", Channel.PUBLIC_REPLY),
        ("webhook", Channel.WEBHOOK),
    }


def test_a_message_arrives_with_its_text(case):
    delivery = case.delivery("Hi ada 😍 “ä”")
    outcome = case.sender.send(delivery)
    assert outcome.kind is Kind.SENT
    assert outcome.message_id
    assert case.arrived() == [(delivery.comment_id, "Hi ada 😍 “ä”")]


def test_the_same_delivery_twice_is_one_message(case):
    delivery = case.delivery("once")
    case.sender.send(delivery)
    again = case.sender.send(delivery)
    assert len(case.arrived()) == 1
    assert again.kind is (Kind.SENT if case.sender.idempotent else Kind.REPLY_USED)


def test_a_platform_that_is_away_has_delivered_nothing(case):
    case.cut_off()
    assert case.sender.send(case.delivery("hi")).kind is Kind.NOT_DELIVERED
    assert case.arrived() == []


def test_a_connection_that_is_lost_says_nothing_of_the_outcome(case):
    case.lose_answer(0)
    assert case.sender.send(case.delivery("hi")).kind is Kind.UNKNOWN


def test_an_answer_that_does_not_come_in_time_says_nothing_of_the_outcome(case, monkeypatch):
    for module in (fake_platform_sender, webhook_sender):
        monkeypatch.setattr(module, "SEND_SECONDS", 0.3)
    case.lose_answer(2)
    started = time.monotonic()
    outcome = case.sender.send(case.delivery("hi"))
    assert time.monotonic() - started < 1
    assert outcome.kind is Kind.UNKNOWN
    assert "no complete answer within 0.3 s" in outcome.detail


def test_a_sender_gives_up_well_before_it_is_given_up():
    for module in (fake_platform_sender, webhook_sender):
        assert STUCK_AFTER.total_seconds() > 2 * module.SEND_SECONDS


def test_comments_of_any_platform_are_answered_over_the_webhook_but_over_no_others_sender():
    webhook = senders()["webhook"]
    assert sender_for("fake_platform", Channel.WEBHOOK) == webhook
    assert sender_for("threads", Channel.WEBHOOK) == webhook
    assert sender_for("threads", Channel.DIRECT_MESSAGE) is None
    assert sender_for("webhook", Channel.DIRECT_MESSAGE) is None


# --- the fake platform ------------------------------------------------------------------------

MEANS = {
    "throttled": Kind.THROTTLED,
    "restricted": Kind.RESTRICTED,
    "token": Kind.NEEDS_ACTION,
    "permission": Kind.NEEDS_ACTION,
    "window": Kind.EXPIRED,
    "used": Kind.REPLY_USED,
    "impossible": Kind.REFUSED,
    "person": Kind.REFUSED,
    "thread": Kind.HELD,
    "unknown": Kind.UNKNOWN,
}


@pytest.fixture
def send(fake_platform) -> Callable[..., Outcome]:
    """Sends a message to a new comment on the fake platform."""

    def send(**changes: Any) -> Outcome:
        comment = fake_platform.store.add_comment("p1", text="price?", author="ada")
        return fake_platform_sender.send(a_delivery(comment["id"])._replace(**changes))

    return send


@pytest.mark.parametrize("row", ERRORS)
def test_every_error_of_the_table_is_understood(fake_platform, send, row):
    for error in ERRORS[row]:
        fault = {
            "status": error.status,
            "code": error.code,
            "error_subcode": error.error_subcode,
            "message": "no",
        }
        fail_next(fake_platform, error=fault)
        outcome = send()
        assert (outcome.kind, error) == (MEANS[row], error)
        assert f"code {error.code}/{error.error_subcode}: no" in outcome.detail
    assert fake_platform.store.messages() == []


@pytest.mark.parametrize(
    ("status", "code", "subcode", "kind"),
    [
        (401, 190, 999, Kind.NEEDS_ACTION),
        (400, 551, None, Kind.REFUSED),
        (400, 100, None, Kind.REFUSED),
        (400, 80000, None, Kind.REFUSED),
        (400, 80015, None, Kind.REFUSED),
        (400, 300, None, Kind.REFUSED),
        (400, 1, 1357046, Kind.UNKNOWN),
        (503, 77777, None, Kind.UNKNOWN),
    ],
)
def test_what_errors_beside_the_table_mean(fake_platform, send, status, code, subcode, kind):
    error = {"status": status, "code": code, "error_subcode": subcode, "message": "no"}
    fail_next(fake_platform, error=error)
    assert send().kind is kind


def test_an_account_is_named_to_the_platform(fake_platform, send):
    send(account="shop two")
    send(account="shop two", channel=Channel.PUBLIC_REPLY)
    assert {message["account"] for message in fake_platform.store.messages()} == {"shop two"}


def test_the_platforms_usage_comes_with_every_answer(fake_platform, send):
    fake_platform.hourly_limit = 4
    assert send().usage == Usage(25)
    assert send(channel=Channel.PUBLIC_REPLY).usage == Usage(50)
    fail_next(fake_platform, error={"status": 400, "code": 368})
    assert send().usage == Usage(50)
    assert send().usage == Usage(75)
    assert send().usage == Usage(100, timedelta(minutes=60))
    over = send()
    assert (over.kind, over.usage) == (Kind.THROTTLED, Usage(100, timedelta(minutes=60)))


def business(*counters: dict[str, Any]) -> dict[str, str]:
    return {"X-Business-Use-Case-Usage": json.dumps({"1789": list(counters)})}


@pytest.mark.parametrize(
    ("headers", "usage"),
    [
        ({"X-App-Usage": '{"call_count": 28, "total_time": 25, "total_cputime": 31}'}, Usage(31)),
        ({"X-App-Usage": '{"call_count": 0}'}, Usage(0)),
        (business({"call_count": 5}, {"total_time": 96}), Usage(96)),
        (
            business({"call_count": 100, "estimated_time_to_regain_access": 19}),
            Usage(100, timedelta(minutes=19)),
        ),
        (business({"estimated_time_to_regain_access": 2}), Usage(100, timedelta(minutes=2))),
        (
            business({"call_count": 100, "estimated_time_to_regain_access": 900_000}),
            Usage(100, timedelta(days=1)),
        ),
        ({"X-App-Usage": '{"call_count": 7}'} | business({"call_count": 3}), Usage(7)),
        ({"X-App-Usage": "{"} | business({"call_count": 3}), Usage(3)),
        ({}, None),
        ({"X-App-Usage": ""}, None),
        ({"X-App-Usage": "[" * 100_000}, None),
        ({"X-App-Usage": "[]"}, None),
        ({"X-App-Usage": "{}"}, None),
        ({"X-App-Usage": '{"call_count": "7"}'}, None),
        ({"X-App-Usage": '{"call_count": true}'}, None),
        ({"X-App-Usage": '{"call_count": NaN, "total_time": Infinity}'}, None),
        ({"X-App-Usage": '{"call_count": -1}'}, None),
        ({"X-App-Usage": f'{{"call_count": 1{"0" * 400}}}'}, None),
        ({"X-Business-Use-Case-Usage": "[]"}, None),
        ({"X-Business-Use-Case-Usage": '{"1": 2, "3": [4, null]}'}, None),
        (business({"call_count": 1, "estimated_time_to_regain_access": "soon"}), Usage(1)),
    ],
)
def test_usage_is_the_fullest_counter_and_what_is_broken_is_not_said(headers, usage):
    assert fake_platform_sender.read_usage(httpx.Headers(headers)) == usage


@pytest.fixture
def server_that_says(settings):
    """`server_that_says(body)`: a server that answers 200 with these bytes to everything; with
    `pause`, one after the other and so many seconds apart."""
    stack = ExitStack()

    def start(body: bytes, pause: float = 0) -> None:
        class Server(ThreadingHTTPServer):
            def handle_error(self, *args: Any) -> None:
                """The sender went away, as it should."""

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                for part in [bytes([byte]) for byte in body] if pause else [body]:
                    self.wfile.write(part)
                    time.sleep(pause)

            def log_message(self, *args: Any) -> None:
                pass

        server = Server(("127.0.0.1", 0), Answer)
        stack.enter_context(serving(server))
        settings.FAKE_PLATFORM_URL = f"http://127.0.0.1:{server.server_address[1]}"

    with stack:
        yield start


@pytest.mark.parametrize(
    "body",
    [
        b"<html>bad gateway</html>",
        b"[]",
        b"{}",
        b'{"error": 3}',
        b'{"error": {"code": []}}',
        b'{"error": {"code": "x"}}',
    ],
)
def test_an_answer_in_no_known_form_says_nothing_of_the_outcome(server_that_says, body):
    server_that_says(body)
    assert fake_platform_sender.send(a_delivery("c1")).kind is Kind.UNKNOWN


def test_an_answer_that_does_not_end_says_nothing_of_the_outcome(server_that_says, monkeypatch):
    server_that_says(b'{"message_id": "m1"}', pause=0.1)
    monkeypatch.setattr(fake_platform_sender, "SEND_SECONDS", 0.5)
    started = time.monotonic()
    outcome = fake_platform_sender.send(a_delivery("c1"))
    assert time.monotonic() - started < 1
    assert outcome.kind is Kind.UNKNOWN
    assert "no complete answer within 0.5 s" in outcome.detail


def test_an_answer_that_is_too_large_says_nothing_of_the_outcome(server_that_says, monkeypatch):
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 50)
    server_that_says(b'{"message_id": "m1"}' + b" " * 100)
    assert fake_platform_sender.send(a_delivery("c1")).kind is Kind.UNKNOWN


# --- the webhook ------------------------------------------------------------------------------


def hand_over(receiver: Receiver, **changes: Any) -> Outcome:
    delivery = a_delivery("c1", "Hi ä", Channel.WEBHOOK, endpoint=Endpoint(receiver.url, SECRET))
    return webhook_sender.send(delivery._replace(**changes))


def test_the_request_is_signed_and_says_all_there_is_to_know(receiver):
    outcome = hand_over(receiver, account="shop")
    assert outcome == Outcome(Kind.SENT, message_id="m message-1")
    [(headers, body)] = receiver.calls
    assert headers["webhook-id"] == "message-1"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {
        "type": "message.send",
        "key": "message-1",
        "comment_id": "c1",
        "post_id": "p1",
        "account": "shop",
        "recipient": "ada",
        "text": "Hi ä",
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Kind.SENT),
        (202, Kind.SENT),
        (204, Kind.SENT),
        (400, Kind.REFUSED),
        (401, Kind.REFUSED),
        (404, Kind.REFUSED),
        (409, Kind.REFUSED),
        (410, Kind.REFUSED),
        (422, Kind.REFUSED),
        (408, Kind.NOT_DELIVERED),
        (425, Kind.NOT_DELIVERED),
        (429, Kind.NOT_DELIVERED),
        (500, Kind.UNKNOWN),
        (503, Kind.UNKNOWN),
    ],
)
def test_what_a_receivers_status_means(receiver, status, kind):
    receiver.answers_with(status, b"" if status == 204 else b"<p>because</p>")
    outcome = hand_over(receiver)
    assert outcome.kind is kind
    assert kind is Kind.SENT or outcome.detail == f"HTTP {status}: <p>because</p>"


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        (b'{"message_id": "m1"}', "m1"),
        (b'{"message_id": 17}', "17"),
        (b'{"message_id": ["m1"]}', ""),
        (b"{}", ""),
        (b'["m1"]', ""),
        (b"ok", ""),
        (b"\xff", ""),
        (b"", ""),
        (b"[" * 10_000, ""),
    ],
)
def test_a_receiver_may_name_the_message_and_need_not(receiver, body, message_id):
    receiver.answers_with(200, body)
    assert hand_over(receiver) == Outcome(Kind.SENT, message_id=message_id)


def test_no_redirect_is_followed(receiver):
    receiver.answers_with(307, Location=f"{receiver.url}/elsewhere")
    assert hand_over(receiver).kind is Kind.NOT_DELIVERED
    assert len(receiver.calls) == 1
    assert receiver.taken == {}


@pytest.mark.parametrize(
    "endpoint",
    [None, Endpoint(NOWHERE, ""), Endpoint(NOWHERE, "whsec_"), Endpoint(NOWHERE, "whsec_a")],
)
def test_without_an_endpoint_or_a_secret_the_message_is_held(receiver, endpoint):
    assert hand_over(receiver, endpoint=endpoint).kind is Kind.HELD


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://[", "nowhere"])
def test_an_address_that_is_none_has_delivered_nothing(receiver, url):
    assert hand_over(receiver, endpoint=Endpoint(url, SECRET)).kind is Kind.NOT_DELIVERED
