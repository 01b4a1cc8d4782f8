"""Rate limits: `RATE_LIMIT_PER_MINUTE` calls by one client, and as many for one post.

Each client and each post has a bucket that holds a minute's calls and fills continuously. So has
each user name that somebody tries to sign in with (`threadsagent.login`). Without Redis every call
passes.
"""

import math
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import throttled
from django.conf import settings
from django_redis import get_redis_connection
from prometheus_client import Counter
from rest_framework.exceptions import (
    AuthenticationFailed,
    MethodNotAllowed,
    NotAuthenticated,
    PermissionDenied,
    Throttled,
)
from rest_framework.throttling import BaseThrottle

from comments.parsing import MAX_ID_LENGTH, FieldError, parse_text
from comments.redis import ask

if TYPE_CHECKING:  # DRF imports this module while it defines APIView
    from django.http import HttpRequest
    from rest_framework.request import Request
    from rest_framework.response import Response
    from rest_framework.views import APIView

RATE_LIMITED = Counter("rate_limited_total", "Calls refused by a rate limit", ["limit"])
for limit in ("client", "post", "login"):
    RATE_LIMITED.labels(limit)

MINUTE = 60
REFUSALS = (NotAuthenticated, AuthenticationFailed, PermissionDenied, MethodNotAllowed)


class RateLimited(Throttled):
    """A 429 that says which limit it was; `Retry-After` and the text say when to come again."""

    extra_detail_singular = "Try again in {wait} second."
    extra_detail_plural = "Try again in {wait} seconds."


class RateLimits(BaseThrottle):
    """The limits as DRF has them checked: after authentication and permission, before the call."""

    def allow_request(self, request: "Request", view: "APIView") -> bool:
        """True, or `RateLimited`: DRF's own would not say which limit it was."""
        if _is_limited(view):
            _spend("client", _client(request), view)
            # Only now: of a client over its limit no body is read, and it costs no post a token.
            post_id = _post(request)
            if post_id is not None:
                _spend("post", post_id, view)
        return True


def exception_handler(error: Exception, context: dict[str, Any]) -> "Response | None":
    """DRF's, except that calls which DRF refuses before it checks limits count as well.

    Otherwise tokens could be guessed, and permissions tried, without any limit.
    """
    from rest_framework.views import exception_handler as answer

    view = context["view"]
    if isinstance(error, REFUSALS) and "RateLimit" not in view.headers:
        try:
            _spend("client", _client(context["request"]), view)
        except RateLimited as limited:
            error = limited
    return answer(error, context)


def _is_limited(view: "APIView") -> bool:
    """The API's own views name their permissions; the schema and its page do not."""
    return hasattr(view, "required_permissions")


def _client(request: "Request") -> str:
    if request.auth is not None:
        return f"token:{request.auth.pk}"
    if request.user.is_authenticated:
        return f"user:{request.user.pk}"
    # Strangers whose address is not known share one limit, and have nothing to lose: all that a
    # stranger gets is a 401.
    return f"ip:{client_address(request)}"


def client_address(request: "HttpRequest | Request") -> str | None:
    """Where a request comes from; None where our proxies do not tell.

    Each proxy adds to X-Forwarded-For who called it. What stands before that of our first proxy
    anybody can write. Of IPv6 it is the network: who has one address there has 2^64.
    """
    told = request.META.get("REMOTE_ADDR")
    if settings.TRUSTED_PROXIES:
        chain = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        told = chain[-settings.TRUSTED_PROXIES] if len(chain) >= settings.TRUSTED_PROXIES else ""
    try:
        address = ip_address(str(told).strip())
    except ValueError:
        return None
    if address.version == 6:
        return str(ip_network((address, 64), strict=False))
    return str(address)


def _post(request: "Request") -> str | None:
    """The post that the call is about, if it is one with a limit and what it says can be used."""
    match = request.resolver_match
    if match is None or match.view_name != "comment-process" or not isinstance(request.data, dict):
        return None
    try:
        return parse_text("post_id", request.data.get("post_id"), MAX_ID_LENGTH)
    except FieldError:
        return None  # the view says what is wrong with it


def _spend(limit: str, subject: str, view: "APIView") -> None:
    """Take a token, tell so in the headers, and raise `RateLimited` if there was none."""
    bucket = take(limit, subject, throttled.per_min(settings.RATE_LIMIT_PER_MINUTE))
    if bucket is None:
        return
    # DRF puts the view's headers on whatever is answered, errors included.
    for name, item in bucket.headers.items():
        view.headers[name] = f"{view.headers[name]}, {item}" if name in view.headers else item
    if not bucket.passed:
        raise RateLimited(bucket.wait, f"This {limit} had its {bucket.size} calls a minute.")


# --- the buckets ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bucket:
    """A bucket after a call: whether it passed, the tokens left, the seconds until one more."""

    limit: str
    passed: bool
    size: int
    left: int
    wait: int

    @property
    def headers(self) -> dict[str, str]:
        """Its items of the headers in draft-ietf-httpapi-ratelimit-headers.

        `t` there is the time until more quota is available, not until all of it is.
        """
        return {
            "RateLimit-Policy": f'"{self.limit}";q={self.size};w={MINUTE}',
            "RateLimit": f'"{self.limit}";r={self.left};t={self.wait}',
        }


def take(limit: str, subject: str, quota: throttled.Quota) -> Bucket | None:
    """Take a token for a call from the subject's bucket; None when Redis does not answer.

    One script does it in Redis, so that of calls at the same moment none gets the other's token.
    A call without a token takes none, so trying too early does not make the wait longer.
    """
    buckets = throttled.Throttled(
        # GCRA is the token bucket, exact: it stores when the bucket will be full again. What the
        # library calls "token_bucket" counts whole seconds, and each call that passes drops the
        # part of a token that had come: of 100 a minute, a client that keeps calling gets 60.
        using=throttled.RateLimiterType.GCRA.value,
        quota=quota,
        store=STORE,
        key_prefix="rate_limit",
    )
    result = ask("rate_limit", lambda _: buckets.limit(f"{limit}:{subject}"))
    if result is None:
        return None
    if result.limited:
        RATE_LIMITED.labels(limit).inc()
    return _read(limit, result, quota.emission_interval)


def _read(limit: str, result: throttled.RateLimitResult, seconds_each: float) -> Bucket:
    state = result.state
    # The library says when the bucket will be full; all tokens but the next come after that one.
    wait = state.reset_after - (state.limit - state.remaining - 1) * seconds_each
    return Bucket(
        limit=limit,
        passed=not result.limited,
        size=state.limit,
        left=state.remaining,
        wait=max(1, math.ceil(wait)),
    )


class _Connection(throttled.RedisStoreBackend):
    """The project's own connection to Redis; its errors come as they are, which `ask` expects."""

    base_exceptions = ()  # those that the library would replace by one of its own

    def get_client(self) -> Any:
        return get_redis_connection("default")


class _Store(throttled.RedisStore):
    _BACKEND_CLASS = _Connection


STORE = _Store()
