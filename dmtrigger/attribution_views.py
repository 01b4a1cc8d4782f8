"""Conversions and the funnel over HTTP."""

import json
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.viewsets import ReadOnlyModelViewSet, ViewSet
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from comments.scope import scope_of
from dmtrigger import conversions, funnel
from dmtrigger.attribution_serializers import (
    ConversionReportSerializer,
    ConversionSerializer,
    FunnelQuerySerializer,
    FunnelSerializer,
    SaleSerializer,
)
from dmtrigger.models import Conversion

MAX_CONVERSIONS = 5_000  # of one call
MAX_BODY_BYTES = 2**20 * 2


class TooMuch(APIException):
    """The call has more than is worked on at once."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE


class ConversionViewSet(ReadOnlyModelViewSet[Conversion]):
    """Sales that messages led to, newest first. The shop tells them, and signs what it tells."""

    queryset = Conversion.objects.select_related("message")
    serializer_class = ConversionSerializer
    required_permissions = {
        "list": "dmtrigger.view_conversion",
        "retrieve": "dmtrigger.view_conversion",
    }

    def get_permissions(self) -> list[BasePermission]:
        """The signature is what lets a call of the shop in, see `create`."""
        # the stubs of DRF say a sequence of something else
        return [] if self.action == "create" else super().get_permissions()  # type: ignore[return-value]

    def get_throttles(self) -> list[BaseThrottle]:
        """A signed call is the shop's; strangers, who share an address with it behind a proxy,
        must not use up its calls. Theirs count where they are refused."""
        return [] if self.action == "create" else super().get_throttles()

    @extend_schema(
        auth=[],
        request=SaleSerializer,
        responses={
            200: ConversionReportSerializer,
            400: ConversionReportSerializer,
            403: OpenApiResponse(description="not signed with CONVERSIONS_SECRET, or too old"),
        },
        examples=[
            OpenApiExample(
                "one sale",
                request_only=True,
                value={
                    "token": "BqS1qW0WQHNVmJ1hGvJYxg",
                    "order_id": "A-1001",
                    "value": "49.90",
                    "currency": "EUR",
                    "at": "2026-01-31T10:30:00Z",
                },
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Store sales: an object, or a list of them, signed as Standard Webhooks describe.

        `token` is the one that the short link added to the shop's address (`ta=…`). Telling an
        order again changes nothing. An item that cannot be stored is named in `rejected`.
        """
        report = conversions.record(_read(_signed_body(request)))
        failed = bool(report.rejected) and not report.accepted
        result = "error" if failed else "partial" if report.rejected else "success"
        answer = {"status": result} | asdict(report)
        return Response(answer, status.HTTP_400_BAD_REQUEST if failed else status.HTTP_200_OK)


def _signed_body(request: Request) -> bytes:
    """The body, byte for byte, if its signature is right and not older than five minutes."""
    secret = settings.CONVERSIONS_SECRET
    if not secret:
        raise PermissionDenied("no conversions are taken: CONVERSIONS_SECRET is not set")
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
        raise TooMuch(f"the body is larger than {MAX_BODY_BYTES} bytes")
    body = request._request.body
    try:
        Webhook(secret).verify(body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError) as error:  # ValueError: no base64, no UTF-8
        raise PermissionDenied(f"the signature is not right: {error}") from error
    return body


def _read(body: bytes) -> list[Any]:
    """The items. Numbers stay as they were written: 0.1 is none of a float's."""
    try:
        content = json.loads(body, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ParseError(f"the body is not JSON: {error}") from error
    items = content if isinstance(content, list) else [content]
    if len(items) > MAX_CONVERSIONS:
        raise TooMuch(f"{len(items)} conversions in one call, the limit is {MAX_CONVERSIONS}")
    return items


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")


class FunnelViewSet(ViewSet):
    """What came of the comments of a period, up to the sales."""

    required_permissions = {"list": "dmtrigger.view_directmessage"}

    @extend_schema(parameters=[FunnelQuerySerializer], responses=FunnelSerializer, filters=False)
    def list(self, request: Request) -> Response:
        """The funnel of the comments stored from `since` until `until`, as a whole and apart."""
        asked = FunnelQuerySerializer(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        period = funnel.Period(asked.validated_data["since"], asked.validated_data["until"])
        by, scope = funnel.By(asked.validated_data["by"]), scope_of(request.user)
        found = funnel.report(period, by, scope)
        return Response(FunnelSerializer(found).data)
