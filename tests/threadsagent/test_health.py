"""`/health` names each service, and only the database decides whether we are ready."""

import pytest
from celery import current_app
from django.db import connection

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


@pytest.mark.django_db(transaction=True)
def test_without_a_database_we_are_not_ready(client, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "PORT", "9")
        connection.close()
        answer = client.get("/health")
        connection.close()
    assert answer.status_code == 503
    body = answer.json()
    assert (body["status"], body["ready"]) == ("unavailable", False)
    assert body["checks"]["database"] == "unreachable (OperationalError)"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/health", "/health/live"])
def test_a_probe_may_call_by_address(client, path):
    assert client.get(path, headers={"host": "10.0.3.7:8000"}).status_code == 200


def test_being_alive_asks_nobody(client):
    # without the db mark, any query would fail
    assert client.get("/health/live").json() == {"status": "ok"}
