"""A person's data over HTTP: look at it, erase it; and the platform's own requests to do so."""

import base64
import hmac
import json
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from comments.parsing import storable
from dmtrigger.privacy import erase_person, erasure_of, export_person


class NotSigned(Exception):
    """A signed request that is none, or is not signed by the platform."""


class PersonDataViewSet(ViewSet):
    """Everything that is stored of a person, known by their name on a platform."""

    required_permissions = {
        "retrieve": "dmtrigger.erase_person",
        "destroy": "dmtrigger.erase_person",
    }

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, source: str, name: str) -> Response:
        """All of it, table by table; the lists are empty where nothing is stored."""
        person = storable(source), storable(name)
        data = export_person(*person, request.user.get_username())
        return Response(data, headers={"Cache-Control": "no-store"})

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def destroy(self, request: Request, source: str, name: str) -> Response:
        """Erase it, and say how much it was. Doing it again changes nothing."""
        person = storable(source), storable(name)
        erased = erase_person(*person, request.user.get_username())
        return Response({"confirmation_code": erased.code, "erased": erased.counts})


@csrf_exempt
@require_POST
def data_deletion(request: HttpRequest) -> HttpResponse:
    """A platform tells that a person wants their data erased: Meta's data deletion callback.

    `user_id` is taken as a name of COMMENT_SOURCE, by which people are known here.
    """
    if not settings.DATA_DELETION_SECRET:
        return HttpResponseForbidden("DATA_DELETION_SECRET is not set\n")
    try:
        said = read_signed_request(
            request.POST.get("signed_request", ""), settings.DATA_DELETION_SECRET
        )
    except NotSigned as problem:
        return HttpResponseForbidden(f"{problem}\n")
    name = storable(str(said["user_id"]))
    erased = erase_person(settings.COMMENT_SOURCE, name, "data deletion callback")
    url = f"{settings.PUBLIC_URL}/webhooks/data-deletion/{erased.code}"
    return JsonResponse({"url": url, "confirmation_code": erased.code})


@require_safe
def data_deletion_status(request: HttpRequest, code: str) -> HttpResponse:
    """What became of a request; the code says whose, so there is nothing else to show."""
    entry = erasure_of(code)
    if entry is None:
        return HttpResponseForbidden("This is none of our confirmation codes.\n")
    found = any(entry.details.values())
    what = "The data was erased" if found else "Nothing was stored of this person, looked up"
    return HttpResponse(f"{what} on {entry.at:%Y-%m-%d %H:%M} UTC.\n", content_type="text/plain")


def read_signed_request(text: str, secret: str) -> dict[str, Any]:
    """What a `signed_request` says: base64url(HMAC-SHA256).base64url(JSON). Raises NotSigned."""
    signature, _, payload = text.partition(".")
    expected = hmac.digest(secret.encode(), payload.encode(), "sha256")
    if not hmac.compare_digest(_decoded(signature), expected):
        raise NotSigned("the signature is wrong")
    try:
        said = json.loads(_decoded(payload))
    except (ValueError, RecursionError) as error:
        raise NotSigned(f"this is no signed_request: {error}") from error
    if not isinstance(said, dict) or not isinstance(said.get("user_id"), str | int):
        raise NotSigned("it names no user_id")
    if str(said.get("algorithm")).upper() != "HMAC-SHA256":
        raise NotSigned("it is not signed with HMAC-SHA256")
    return said


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError as error:  # not ASCII, or not base64
        raise NotSigned(f"this is no signed_request: {error}") from error
