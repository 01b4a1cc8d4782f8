"""The address that a platform tells of private messages. Only who knows the app secret gets in."""

import hmac
import json
import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from dmtrigger import incoming

logger = logging.getLogger(__name__)

MAX_BYTES = 4 * 1024 * 1024  # a thousand messages of the longest usual kind


@csrf_exempt  # the caller has no cookie to abuse; the signature says who it is
@require_http_methods(["GET", "POST"])
def fake_platform(request: HttpRequest) -> HttpResponse:
    """Instagram's webhook `messages`, as the fake platform calls it."""
    if not settings.FAKE_PLATFORM_APP_SECRET:
        return _says("no FAKE_PLATFORM_APP_SECRET is set", 403)
    if request.method == "GET":
        return _handshake(request, settings.FAKE_PLATFORM_VERIFY_TOKEN)
    return _take(request, "fake_platform", settings.FAKE_PLATFORM_APP_SECRET)


def _handshake(request: HttpRequest, token: str) -> HttpResponse:
    asked = request.GET.get("hub.mode") == "subscribe"
    if not (asked and token and _same(request.GET.get("hub.verify_token", ""), token)):
        return _says("wrong verify token", 403)
    return _says(request.GET.get("hub.challenge", ""), 200)


def _take(request: HttpRequest, source: str, secret: str) -> HttpResponse:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > MAX_BYTES:
        return _says(f"the body is larger than {MAX_BYTES} bytes", 413)
    # Not request.body: that has Django's limit for forms.
    body = request.read(MAX_BYTES)
    right = hmac.digest(secret.encode(), body, "sha256").hex()
    if not _same(request.headers.get("X-Hub-Signature-256", ""), f"sha256={right}"):
        logger.warning("a webhook call is not signed by %s", source)
        return _says("wrong signature", 403)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return _says("the body is no JSON", 400)
    incoming.take(source, content)
    return _says("", 200)


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), right.encode())


def _says(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
