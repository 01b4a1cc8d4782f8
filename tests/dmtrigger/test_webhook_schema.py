"""The webhooks in the OpenAPI document are those that are sent."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from dmtrigger import outbox, webhooks
from dmtrigger.models import DirectMessage, WebhookDelivery, WebhookEndpoint
from dmtrigger.signing import new_secret, signed_headers
from dmtrigger.states import State
from tests.factories import DirectMessageFactory

pytestmark = pytest.mark.django_db
FORMATS = FormatChecker(formats=())


@FORMATS.checks("uri")
def is_address(value: object) -> bool:
    """By which an empty link is told from one that leads somewhere."""
    return "://" in str(value)


@pytest.fixture
def document(admin_client) -> dict[str, Any]:
    answer = admin_client.get("/api/schema", {"format": "json"})
    schema: dict[str, Any] = answer.json()
    return schema


@pytest.fixture
def endpoint(db) -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(name="crm", url="https://crm.example/hook")


def validator(document: dict[str, Any], name: str) -> Draft202012Validator:
    """Of the body of a webhook."""
    body = document["webhooks"][name]["post"]["requestBody"]["content"]["application/json"]
    schema = body["schema"] | {"components": document["components"]}
    return Draft202012Validator(schema, format_checker=FORMATS)


def cancelled() -> DirectMessage:
    return outbox.cancel(DirectMessageFactory().pk, "olga")


def test_what_is_told_of_a_message_is_as_described(document, endpoint):
    cancelled()
    told = WebhookDelivery.objects.get().payload
    assert told["type"] == "message.cancelled"
    validator(document, "message").validate(told)


def test_the_description_refuses_what_is_not_told(document, endpoint):
    cancelled()
    told = WebhookDelivery.objects.get().payload
    of_messages = validator(document, "message")
    assert not of_messages.is_valid(told | {"type": "message.sending"})
    assert not of_messages.is_valid(told | {"data": {}})
    assert not of_messages.is_valid({"type": told["type"]})


def test_a_test_event_is_as_described(document, endpoint):
    told = webhooks.send_test(endpoint).payload
    of_tests = validator(document, "test")
    of_tests.validate(told)
    assert not of_tests.is_valid(told | {"type": "message.sent"})


def test_every_state_but_the_moment_of_sending_is_described(document):
    types = document["components"]["schemas"]["MessageWebhook"]["properties"]["type"]["enum"]
    assert set(types) == {f"message.{state}" for state in State} - {"message.sending"}


@pytest.mark.parametrize("name", ["message", "test"])
def test_the_headers_are_those_that_are_sent(document, name):
    described = document["webhooks"][name]["post"]["parameters"]
    assert {(header["name"], header["in"]) for header in described} == {
        (header, "header") for header in signed_headers(new_secret(), "evt_1", "{}")
    }
