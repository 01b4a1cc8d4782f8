"""`/health` names each service, and only the database decides whether we are ready."""

import pytest
from celery import current_app

from threadsagent import health

AWAY = "redis://127.0.0.1:9/0"


@pytest.mark.django_db
def test_all_is_well(client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "live": True,
        "ready": True,
        "checks": {"database": "ok", "cache": "ok", "broker": "ok"},
    }


@pytest.mark.django_db
def test_without_a_cache_we_are_degraded_and_ready(client, settings):
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": AWAY}}
    body = client.get("/health").json()
    assert (body["status"], body["ready"]) == ("degraded", True)
    assert body["checks"]["cache"] == "unreachable (ConnectionError)"


@pytest.mark.django_db
def test_without_a_broker_we_are_degraded_and_ready(client, monkeypatch):
    monkeypatch.setattr(current_app.conf, "broker_write_url", AWAY)
    answer = client.get("/health")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "degraded")
    assert body["checks"]["broker"] == "unreachable (OperationalError)"


def test_without_a_database_we_are_not_ready(client, monkeypatch):
    monkeypatch.setattr(health, "_database", lambda: "unreachable (OperationalError)")
    answer = client.get("/health")
    assert answer.status_code == 503
    assert (answer.json()["status"], answer.json()["ready"]) == ("unavailable", False)


def test_being_alive_asks_nobody(client):
    # without the db mark, any query would fail
    assert client.get("/health/live").json() == {"status": "ok"}
