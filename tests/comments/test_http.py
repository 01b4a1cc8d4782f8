"""Fetching JSON: whatever a platform does, it takes no more than its time and its bytes."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from comments import http
from comments.http import FetchError, NeverSentError, get_json, request_json, requests_end_by

NOTHING: dict[str, str] = {}


class Platform(BaseHTTPRequestHandler):
    """A platform of bad manners: the path says which."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar = {
        "/text": b"<html>",
        "/deep": b"[" * 200_000,
        "/large": b'"' + b"x" * 100_000 + b'"',
    }

    def do_GET(self) -> None:
        if self.path == "/silent":
            time.sleep(2)
        if self.path == "/dripping-head":
            self._drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000)
        elif self.path == "/dripping-body":
            self._drip(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"', b"x" * 999)
        else:
            self._answer(self.answers.get(self.path, json.dumps(self.path).encode()))

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self, slowly: bytes, more: bytes = b"") -> None:
        """A byte each 20 ms for 20 s: a time-out for each read would never end it."""
        for byte in slowly + more:
            self.wfile.write(bytes([byte]))
            time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        """Not to the tests' output."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # some of its threads still drip

    def handle_error(self, request: object, client_address: object) -> None:
        """The caller went away, as it should."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Platform) as server:
        serving = Thread(target=server.serve_forever, args=[0.05])
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def test_the_answer_is_decoded(url):
    assert get_json(f"{url}/something", {"a": "b c"}) == "/something?a=b+c"


@pytest.mark.parametrize("path", ["silent", "dripping-head", "dripping-body"])
def test_an_answer_that_does_not_end_is_cut_off(url, path, settings):
    settings.PROCESSING_TIMEOUT = 0.3
    started = time.monotonic()
    with pytest.raises(FetchError, match=r"no complete answer within 0\.3 s"):
        get_json(f"{url}/{path}", NOTHING)
    assert time.monotonic() - started < 1


def test_a_deadline_around_the_call_cuts_it_off_too(url):
    started = time.monotonic()
    with requests_end_by(started + 0.3):
        assert get_json(f"{url}/in-time", NOTHING) == "/in-time"
        with pytest.raises(FetchError, match="no complete answer"):
            get_json(f"{url}/dripping-body", NOTHING)
    assert time.monotonic() - started < 1
    assert get_json(f"{url}/after-it", NOTHING) == "/after-it"


def test_a_request_has_a_limit_of_its_own_and_may_be_any(url):
    said = {"a": "ß"}
    assert request_json("POST", f"{url}/echo", seconds=5, json=said)[:2] == (200, said)
    assert request_json("POST", f"{url}/broken", seconds=5, json=said)[:2] == (500, said)
    with pytest.raises(FetchError, match=r"no complete answer within 0\.2 s"):
        request_json("GET", f"{url}/dripping-body", seconds=0.2)


def test_an_answer_that_is_too_large_is_refused(url, monkeypatch):
    assert len(get_json(f"{url}/large", NOTHING)) == 100_000
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 50_000)
    with pytest.raises(FetchError, match="larger than 50000 bytes"):
        get_json(f"{url}/large", NOTHING)


@pytest.mark.parametrize("path", ["text", "deep"])
def test_what_is_no_json_is_an_error(url, path):
    with pytest.raises(FetchError, match="the answer is no JSON"):
        get_json(f"{url}/{path}", NOTHING)


def test_a_status_that_is_no_success_is_an_error(url):
    with pytest.raises(FetchError, match="500"):
        get_json(f"{url}/broken", NOTHING)


@pytest.mark.parametrize("nowhere", ["http://127.0.0.1:9", "http://[", "ftp://127.0.0.1"])
def test_a_server_that_is_not_there_is_an_error(nowhere):
    with pytest.raises(FetchError):
        get_json(nowhere, NOTHING)


@pytest.mark.parametrize("nowhere", ["http://127.0.0.1:9", "http://nowhere.invalid"])
def test_what_had_no_connection_was_never_sent(nowhere):
    with pytest.raises(NeverSentError):
        request_json("POST", nowhere, json={}, seconds=30)


@pytest.mark.parametrize("path", ["silent", "dripping-head", "dripping-body", "text"])
def test_what_had_one_may_have_arrived(url, path):
    with pytest.raises(FetchError) as raised:
        request_json("GET", f"{url}/{path}", seconds=0.3)
    assert not isinstance(raised.value, NeverSentError)
