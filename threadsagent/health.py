"""`/health`: is the process alive, and what of the services behind it can be reached."""

from collections.abc import Callable
from typing import Any

from celery import current_app
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from django_redis import get_redis_connection

BROKER_TIMEOUT_SECONDS = 2


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """The process answers. Asks nobody else, so that a restart is never the cure for a database."""
    return JsonResponse({"status": "ok"})


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """Each service by name. 503 only without the database.

    Comments are stored with cache and broker away (the sweep wakes the workers later), so taking
    the web processes out of service then would lose what could have been kept.
    """
    checks = {"database": _database(), "cache": _cache(), "broker": broker()}
    ready = checks["database"] == "ok"
    degraded = any(state != "ok" for state in checks.values())
    status = "unavailable" if not ready else "degraded" if degraded else "ok"
    body = {"status": status, "live": True, "ready": ready, "checks": checks}
    return JsonResponse(body, status=200 if ready else 503)


def _state(reach: Callable[[], Any]) -> str:
    """ "ok", or the class of what went wrong: the text could hold an address or a user name."""
    try:
        reach()
    except Exception as error:  # noqa: BLE001 - a wrong password is as bad as no server
        return f"unreachable ({type(error).__name__})"
    return "ok"


def _database() -> str:
    def reach() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    return _state(reach)


def _cache() -> str:
    return _state(lambda: get_redis_connection("default").ping())


def broker() -> str:
    """The broker's state: "ok" when a connection to it can be made."""

    def reach() -> None:
        with current_app.connection_for_write(connect_timeout=BROKER_TIMEOUT_SECONDS) as broker:
            broker.ensure_connection(max_retries=1, timeout=BROKER_TIMEOUT_SECONDS)

    return _state(reach)
