"""What every request passes besides Django's own middleware."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.middleware import common, http
from django.utils.cache import patch_cache_control
from rest_framework.response import Response

from threadsagent import problems

PROBED = frozenset({"/health", "/health/live", "/metrics"})


class CommonMiddleware(common.CommonMiddleware):
    """Django's, except that probes and scrapers need not know a host name: they call by address."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path in PROBED else super().process_request(request)


class ConditionalGetMiddleware(http.ConditionalGetMiddleware):
    """Django's, for the API alone: an ETag on each answer to a GET, and 304 where it is the same.

    The answer is made before it is compared, so permissions hold and limits count as ever.
    """

    KEPT = ("RateLimit", "RateLimit-Policy")

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if not isinstance(response, Response):
            return response
        if not response.has_header("Cache-Control"):
            # It is for who asked, and nobody may show it again without asking us.
            patch_cache_control(response, private=True, no_cache=True)
        answer = super().process_response(request, response)
        if answer.status_code == 412:  # Django's has no body
            answer = problems.refuse(request, 412, "If-Match names another state than there is.")
        for name in self.KEPT:  # of the headers, besides those that Django keeps for caches
            if response.has_header(name):
                answer.headers[name] = response.headers[name]
        return answer


def refuse_nul(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    """A 400 for a NUL in the query: PostgreSQL takes none, and every filter would answer 500."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if "%00" in request.META.get("QUERY_STRING", ""):
            return problems.refuse(request, 400, "There is a NUL in the query.")
        return get_response(request)

    return middleware
