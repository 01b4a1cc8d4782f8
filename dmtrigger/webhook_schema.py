"""The outgoing webhooks in the OpenAPI document: what `dmtrigger.webhooks` sends, and its headers.

The tests hold this against what is really sent.
"""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, OpenApiWebhook, extend_schema
from rest_framework import serializers

from dmtrigger.serializers import DirectMessageSerializer
from dmtrigger.states import State

STATES = [state for state in State if state is not State.SENDING]  # that is not told

RESPONSES = {
    "2XX": OpenApiResponse(description="You have it. Nobody reads what else is in the answer."),
    "410": OpenApiResponse(description="Nothing more is wanted: the endpoint is switched off."),
    "default": OpenApiResponse(description="It is tried again, for three days in all."),
}

HEADERS = [
    {
        "name": name,
        "in": "header",
        "required": True,
        "description": description,
        "schema": schema,
    }
    for name, description, schema in (
        (
            "webhook-id",
            "The event's id, the same at every attempt: drop what you have had before.",
            {"type": "string"},
        ),
        (
            "webhook-timestamp",
            "When this attempt was made, in seconds since 1970.",
            {"type": "string", "pattern": "^[0-9]+$"},
        ),
        (
            "webhook-signature",
            "`v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`.",
            {"type": "string"},
        ),
    )
]


class MessageWebhookSerializer(serializers.Serializer[Any]):
    """A message has come to another state."""

    type = serializers.ChoiceField([f"message.{state}" for state in STATES])
    id = serializers.CharField(help_text="as in the header `webhook-id`")
    created_at = serializers.DateTimeField(help_text="when it happened")
    data = DirectMessageSerializer(  # type: ignore[assignment]  # fields leave the class's names
        help_text="the message as `GET /messages/{id}` showed it then"
    )


class TestWebhookSerializer(serializers.Serializer[Any]):
    """Nothing has happened: an administrator tries whether events arrive."""

    type = serializers.ChoiceField(["test"])
    id = serializers.CharField(help_text="as in the header `webhook-id`")
    created_at = serializers.DateTimeField(help_text="when it was asked for")
    # every serializer of DRF has an attribute of this name too
    data = serializers.DictField(help_text="empty")  # type: ignore[assignment]


MESSAGE = OpenApiWebhook(
    "message",
    extend_schema(
        summary="A message has come to another state.",
        description="Signed as Standard Webhooks describe. It comes at least once, in no promised "
        "order; new fields and types may come.",
        tags=["webhooks"],
        request=MessageWebhookSerializer,
        responses=RESPONSES,
    ),
)
TEST = OpenApiWebhook(
    "test",
    extend_schema(
        summary="An administrator wants to see whether you listen.",
        description="Signed like every event. Nothing has happened.",
        tags=["webhooks"],
        request=TestWebhookSerializer,
        responses=RESPONSES,
    ),
)


def add_headers(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say which headers the webhooks have (a hook): drf-spectacular leaves parameters out there."""
    for webhook in result["webhooks"].values():
        webhook["post"]["parameters"] = HEADERS
    return result
