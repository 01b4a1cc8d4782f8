"""What workers and beat answer on their own port."""

import threading

import httpx
import pytest

from threadsagent.embedded import free_port
from threadsagent.metrics import server
from threadsagent.metrics.server import Pulse


@pytest.fixture
def address(settings, monkeypatch):
    settings.METRICS_TOKEN = "scraper"
    settings.METRICS_PORT = free_port()
    monkeypatch.setattr(server, "pulse", Pulse())
    server.start()
    [running] = server._servers
    yield f"http://127.0.0.1:{settings.METRICS_PORT}"
    running.shutdown()
    server.let_go()


def test_metrics_are_for_those_with_the_token(address):
    answer = httpx.get(f"{address}/metrics", headers={"Authorization": "Bearer scraper"})
    assert answer.status_code == 200
    assert "process_cpu_seconds_total" in answer.text
    assert "comment_processing_queue_length" not in answer.text  # the web process answers for it
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "scrape\x7f"}):
        assert httpx.get(f"{address}/metrics", headers=header).status_code == 403


def test_an_empty_token_opens_nothing(address, settings):
    settings.METRICS_TOKEN = ""
    header = {"Authorization": "Bearer"}
    assert httpx.get(f"{address}/metrics", headers=header).status_code == 403


def test_a_loop_that_hangs_is_not_alive(address, monkeypatch):
    def status() -> int:
        return httpx.get(f"{address}/health/live").status_code

    assert status() == 200  # it waits for its broker
    server.pulse.turned()
    assert status() == 200
    monkeypatch.setattr(server, "STILL_SECONDS", 0)
    assert status() == 503
    server.pulse.rest()
    assert status() == 200


def test_nothing_else_is_there(address):
    assert httpx.get(f"{address}/").status_code == 404
    assert httpx.post(f"{address}/metrics").status_code == 405


def test_without_a_port_nothing_is_served(settings):
    settings.METRICS_PORT = None
    before = threading.active_count()
    server.start()
    assert threading.active_count() == before
