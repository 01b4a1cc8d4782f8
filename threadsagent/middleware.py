"""What every request passes besides Django's own middleware."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.middleware import common, http
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.utils.functional import SimpleLazyObject
from rest_framework.response import Response

from threadsagent import problems, two_factor

PROBED = frozenset({"/health", "/health/live", "/metrics"})
BEGAN = "began"  # in a session: when somebody signed in, in seconds since 1970


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


def limit_sessions(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[..., HttpResponse]:
    """A session ends when it is idle for too long, and when it has lasted for too long."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            _prolong(request.session, timezone.now())
        return get_response(request)

    return middleware


def begin_session(request: HttpRequest, **_: Any) -> None:
    """A user_logged_in receiver: the session's time begins."""
    request.session.pop(BEGAN, None)
    _prolong(request.session, timezone.now())


def require_second_step(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[..., HttpResponse]:
    """A session is nobody's until its user gave a code as well, where they must."""

    def middleware(request: HttpRequest) -> HttpResponse:
        user: Any = request.user  # looked up when somebody asks, and so is the one below
        request.user = SimpleLazyObject(  # type: ignore[assignment]
            lambda: user if two_factor.has_passed(user, request.session) else AnonymousUser()
        )
        return get_response(request)

    return middleware


def _prolong(session: SessionBase, now: datetime) -> None:
    """Have it end so long after this moment, but never later than so long after its beginning.

    Django forgets it then by itself. To write it at every request would be too much: once a minute.
    """
    if SESSION_KEY not in session:
        return  # nobody is signed in
    is_new = BEGAN not in session
    began = datetime.fromtimestamp(session.setdefault(BEGAN, now.timestamp()), UTC)
    idle = now + timedelta(minutes=settings.SESSION_IDLE_MINUTES)
    ends = min(idle, began + timedelta(hours=settings.SESSION_HOURS))
    if is_new or ends - session.get_expiry_date() >= timedelta(minutes=1):
        session.set_expiry(ends)
