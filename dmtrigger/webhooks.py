"""Tells other systems of every change of a message's state. The only writer of `WebhookDelivery`."""

from dmtrigger.models import DirectMessage, MessageEvent, WebhookDelivery, WebhookEndpoint


def announce(message: DirectMessage, event: MessageEvent) -> None:
    """Have every endpoint that hears events told of this one, in the caller's transaction."""
    endpoints = WebhookEndpoint.objects.filter(is_active=True, hears_events=True)
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            endpoint=endpoint,
            event_id=f"evt_{event.pk}",
            payload=payload(message, event),
            next_attempt_at=event.at,
        )
        for endpoint in endpoints
    )


def payload(message: DirectMessage, event: MessageEvent) -> dict[str, object]:
    """The event's body; docs/webhooks.md has it."""
    return {"type": f"message.{event.state}", "message": message.pk}
