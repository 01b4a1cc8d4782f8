"""What every request passes besides Django's own middleware."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.middleware import common

from threadsagent import problems

PROBED = frozenset({"/health", "/health/live", "/metrics"})


class CommonMiddleware(common.CommonMiddleware):
    """Django's, except that probes and scrapers need not know a host name: they call by address."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path in PROBED else super().process_request(request)


def refuse_nul(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    """A 400 for a NUL in the query: PostgreSQL takes none, and every filter would answer 500."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if "%00" in request.META.get("QUERY_STRING", ""):
            return problems.refuse(request, 400, "There is a NUL in the query.")
        return get_response(request)

    return middleware
