"""`/metrics` in Prometheus' text format, for a scraper with the token or a member of staff."""

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from threadsagent.metrics import processes, rows


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """What this host's processes counted, and what the rows and the services say."""
    if not has_token(request.headers.get("Authorization", "")) and not _may_look(request):
        return HttpResponse("give METRICS_TOKEN as a bearer token\n", status=403)
    body = processes.text() + rows.text()
    return HttpResponse(body, content_type=CONTENT_TYPE_LATEST)


def _may_look(request: HttpRequest) -> bool:
    """Staff; but the figures are of all accounts."""
    user = request.user
    return user.is_authenticated and user.is_staff and user.scope.is_whole


def has_token(authorization: str) -> bool:
    """Whether the header's value has METRICS_TOKEN; without such a token nobody has."""
    token = settings.METRICS_TOKEN
    given = authorization.removeprefix("Bearer ")
    return bool(token) and hmac.compare_digest(given.encode(), token.encode())
