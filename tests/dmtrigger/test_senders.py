"""The contract of a sender, run over every sender there is; and what each answer means."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from comments import http
from dmtrigger.outbox import STUCK_AFTER
from dmtrigger.retry import Kind
from dmtrigger.senders import Send, senders
from dmtrigger.senders import fake_platform as fake_platform_sender

Fault = Callable[..., None]


@pytest.fixture(params=["fake_platform"])
def sender(request) -> tuple[Send, Any]:
    """A sender and the platform it sends to."""
    return senders()[request.param], request.getfixturevalue(request.param)


@pytest.fixture
def fault(fake_platform) -> Fault:
    """Make the fake platform's next answers to messages go wrong."""

    def add(**fault: Any) -> None:
        url = f"{fake_platform.url}/faults"
        httpx.post(url, json={"times": 1} | fault).raise_for_status()

    return add


def a_comment(platform) -> str:
    return platform.store.add_comment("p1", text="price?", author="ada")["id"]


def test_a_message_arrives_with_its_text(sender):
    send, platform = sender
    comment_id = a_comment(platform)
    outcome = send(comment_id, "Hi ada 😍")
    assert outcome.kind is Kind.SENT
    [message] = platform.store.messages()
    assert message["message_id"] == outcome.message_id
    assert (message["comment_id"], message["text"]) == (comment_id, "Hi ada 😍")


def test_a_second_message_for_a_comment_is_not_delivered(sender):
    send, platform = sender
    comment_id = a_comment(platform)
    send(comment_id, "one")
    assert send(comment_id, "two").kind is Kind.REPLY_USED
    assert len(platform.store.messages()) == 1


def test_a_platform_that_is_away_has_delivered_nothing(sender, settings):
    send, _ = sender
    settings.FAKE_PLATFORM_URL = "http://127.0.0.1:9"
    assert send("c1", "hi").kind is Kind.NOT_DELIVERED


@pytest.mark.parametrize("after_delivery", [True, False])
def test_a_connection_that_is_lost_says_nothing_of_the_outcome(sender, fault, after_delivery):
    send, platform = sender
    fault(drop_connection=True, after_delivery=after_delivery)
    assert send(a_comment(platform), "hi").kind is Kind.UNKNOWN


def test_an_answer_that_never_comes_says_nothing_of_the_outcome(sender, fault, monkeypatch):
    send, platform = sender
    monkeypatch.setattr(fake_platform_sender, "SEND_SECONDS", 0.3)
    fault(hang_seconds=2, after_delivery=True)
    assert send(a_comment(platform), "hi").kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("status", "code", "subcode", "kind"),
    [
        (400, 4, None, Kind.THROTTLED),
        (400, 613, None, Kind.THROTTLED),
        (400, 80001, None, Kind.THROTTLED),
        (400, 80014, None, Kind.THROTTLED),
        (403, 10, 1893063, Kind.HELD),
        (400, 368, None, Kind.HELD),
        (401, 190, 463, Kind.HELD),
        (403, 10, None, Kind.HELD),
        (403, 200, None, Kind.HELD),
        (400, 10, 2534022, Kind.EXPIRED),
        (400, 100, 2534025, Kind.REPLY_USED),
        (400, 100, 2534014, Kind.REFUSED),
        (403, 200, 2534041, Kind.REFUSED),
        (400, 551, 1545041, Kind.REFUSED),
        (400, 100, 2534037, Kind.HELD),
        (400, 10903, None, Kind.REFUSED),
        (400, 1, 1357046, Kind.UNKNOWN),
        (500, 2, None, Kind.UNKNOWN),
        (503, 77777, None, Kind.UNKNOWN),
    ],
)
def test_what_the_platforms_errors_mean(fake_platform, fault, status, code, subcode, kind):
    fault(error={"status": status, "code": code, "error_subcode": subcode, "message": "no"})
    outcome = fake_platform_sender.send(a_comment(fake_platform), "hi")
    assert outcome.kind is kind
    assert f"code {code}/{subcode}: no" in outcome.detail


@pytest.fixture
def server_that_says(settings):
    """`server_that_says(body)`: a server that answers 200 with these bytes to everything; with
    `pause`, one after the other and so many seconds apart."""
    servers = []

    def start(body: bytes, pause: float = 0) -> None:
        class Server(HTTPServer):
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
        threading.Thread(target=server.serve_forever).start()
        servers.append(server)
        settings.FAKE_PLATFORM_URL = f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


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
    assert fake_platform_sender.send("c1", "hi").kind is Kind.UNKNOWN


def test_an_answer_that_does_not_end_says_nothing_of_the_outcome(server_that_says, monkeypatch):
    server_that_says(b'{"message_id": "m1"}', pause=0.1)
    monkeypatch.setattr(fake_platform_sender, "SEND_SECONDS", 0.5)
    started = time.monotonic()
    outcome = fake_platform_sender.send("c1", "hi")
    assert time.monotonic() - started < 1
    assert outcome.kind is Kind.UNKNOWN
    assert "no complete answer within 0.5 s" in outcome.detail


def test_an_answer_that_is_too_large_says_nothing_of_the_outcome(server_that_says, monkeypatch):
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 50)
    server_that_says(b'{"message_id": "m1"}' + b" " * 100)
    assert fake_platform_sender.send("c1", "hi").kind is Kind.UNKNOWN


def test_a_sender_gives_up_well_before_it_is_given_up():
    assert STUCK_AFTER.total_seconds() > 2 * fake_platform_sender.SEND_SECONDS
