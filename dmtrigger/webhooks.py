"""Tells other systems of every change of a message's state. The only writer of `WebhookDelivery`.

An event is stored for each endpoint in the transaction of the change, so none is lost and none is
told that was undone. Whoever serves an endpoint holds a lease on it, so a slow one keeps one worker
busy and never all of them; a worker that dies leaves a lease that runs out, and its deliveries are
due again. So an event can come twice (`webhook-id` tells that), and in no promised order.
"""

import json
import logging
import time
import uuid
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from rest_framework.serializers import DateTimeField

from comments.wakeup import wake
from dmtrigger import audit, metrics
from dmtrigger.endpoints import Reply, post
from dmtrigger.models import DirectMessage, MessageEvent, WebhookDelivery, WebhookEndpoint
from dmtrigger.serializers import DirectMessageSerializer

logger = logging.getLogger(__name__)

# As Standard Webhooks recommends: the wait after each failed attempt, then it is given up.
SCHEDULE = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
GONE = 410
BATCH = 10  # deliveries that an endpoint is sent at once
LEASE = timedelta(minutes=1)  # well over `endpoints.POST_SECONDS`, and what a name server takes
SLOW_SECONDS = 2.0  # a batch that takes longer earns its endpoint a rest
REST = 4  # times as long as that batch took: it gets a fifth of a worker at most
CHUNK = 1_000  # old deliveries dropped in a transaction
KEPT = frozenset(
    {"id", "campaign", "variant", "channel", "state", "score", "model_version", "created_at"}
)
"""What stays of a message in the events that were told, when a person is erased."""


class Claim(NamedTuple):
    """An endpoint that is served now, and what it is sent."""

    endpoint: WebhookEndpoint
    until: datetime
    deliveries: list[WebhookDelivery]


def delay_after(attempts: int) -> timedelta | None:
    """How long to wait after so many failed attempts (from 1); None: it is given up."""
    return SCHEDULE[attempts - 1] if attempts <= len(SCHEDULE) else None


# --- in ---------------------------------------------------------------------------------------


def announce(message: DirectMessage, event: MessageEvent) -> None:
    """Have every endpoint that hears events told of this one, in the caller's transaction."""
    endpoints = WebhookEndpoint.objects.filter(is_active=True, hears_events=True)
    keys = list(endpoints.values_list("pk", flat=True))
    if not keys:
        return
    told = payload(message, event)
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            endpoint_id=key,
            event_id=event_id(event.pk),
            payload=told,
            next_attempt_at=event.at,
        )
        for key in keys
    )
    _wake_on_commit()


def event_id(event_pk: int) -> str:
    """How an event of a message's history is called in the webhooks."""
    return f"evt_{event_pk}"


def payload(message: DirectMessage, event: MessageEvent) -> dict[str, object]:
    """The event's body; docs/webhooks.md has it."""
    return {
        "type": f"message.{event.state}",
        "id": event_id(event.pk),
        "created_at": DateTimeField().to_representation(event.at),
        "data": DirectMessageSerializer(message).data,
    }


def send_test(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Have the endpoint told of something that did not happen, to see whether it listens."""
    now, name = timezone.now(), f"test_{uuid.uuid4().hex}"
    body = {
        "type": "test",
        "id": name,
        "created_at": DateTimeField().to_representation(now),
        "data": {},
    }
    delivery = WebhookDelivery.objects.create(
        endpoint=endpoint, event_id=name, payload=body, next_attempt_at=now
    )
    _wake_on_commit()
    return delivery


def deliver_again(delivery_ids: Collection[int]) -> int:
    """Have events delivered anew, from the first attempt on; returns how many.

    Those of an endpoint that is switched off are left alone.
    """
    rows = WebhookDelivery.objects.filter(pk__in=delivery_ids, endpoint__is_active=True)
    count = rows.update(
        state=WebhookDelivery.State.PENDING, attempts=0, next_attempt_at=timezone.now()
    )
    if count:
        _wake_on_commit()
    return count


# --- out --------------------------------------------------------------------------------------


def deliver_next() -> int | None:
    """Claim the due deliveries of one endpoint, send them, record what came of it.

    Returns how many there were, None if nothing is due.
    """
    claim = _claim()
    if claim is None:
        return None
    started = time.monotonic()
    replies = _send(claim)
    _record(claim, replies, time.monotonic() - started)
    return len(claim.deliveries)


@transaction.atomic
def _claim() -> Claim | None:
    now = timezone.now()
    due = WebhookDelivery.objects.filter(
        state=WebhookDelivery.State.PENDING, next_attempt_at__lte=now
    )
    endpoint = (
        # no_key: who stores an event for the endpoint at this moment does not stand in the way
        WebhookEndpoint.objects.select_for_update(skip_locked=True, no_key=True)
        .filter(Q(busy_until=None) | Q(busy_until__lte=now), is_active=True)
        .filter(Exists(due.filter(endpoint=OuterRef("pk"))))
        .order_by(F("busy_until").asc(nulls_first=True), "pk")  # the one that waits for longest
        .first()
    )
    if endpoint is None:
        return None
    until = now + LEASE
    deliveries = list(due.filter(endpoint=endpoint).order_by("next_attempt_at", "pk")[:BATCH])
    for delivery in deliveries:
        delivery.attempts += 1  # now, so that one that kills its worker is given up too
        delivery.next_attempt_at = until
    WebhookDelivery.objects.bulk_update(deliveries, ["attempts", "next_attempt_at"])
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(busy_until=until)
    return Claim(endpoint, until, deliveries)


def _send(claim: Claim) -> list[Reply]:
    """Send them all at once; the threads know no database."""

    def send(delivery: WebhookDelivery) -> Reply:
        body = json.dumps(delivery.payload, separators=(",", ":"))
        return post(claim.endpoint.url, claim.endpoint.secret, delivery.event_id, body)

    with ThreadPoolExecutor(BATCH) as pool:
        return list(pool.map(send, claim.deliveries))


@transaction.atomic
def _record(claim: Claim, replies: Sequence[Reply], seconds: float) -> None:
    """Store what came of a batch, and let go of the endpoint.

    A worker whose lease ran out may report late. Then only its good news counts.
    """
    now = timezone.now()
    rest = timedelta(seconds=REST * seconds if seconds > SLOW_SECONDS else 0)
    held = WebhookEndpoint.objects.filter(pk=claim.endpoint.pk, busy_until=claim.until)
    held.update(busy_until=now + rest)
    for delivery, reply in zip(claim.deliveries, replies, strict=True):
        if reply.error:
            _failed(delivery, reply, now)
        else:
            _delivered(delivery, reply, now)
    if any(reply.status == GONE for reply in replies):
        _switch_off(claim.endpoint)
    if any(reply.error for reply in replies):
        _wake_on_commit(rest + SCHEDULE[0])


def _delivered(delivery: WebhookDelivery, reply: Reply, now: datetime) -> None:
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        state=WebhookDelivery.State.DELIVERED,
        next_attempt_at=None,
        status_code=reply.status,
        last_error="",
        delivered_at=now,
    )
    transaction.on_commit(metrics.WEBHOOKS.labels("delivered").inc)


def _failed(delivery: WebhookDelivery, reply: Reply, now: datetime) -> None:
    delay = None if reply.status == GONE else delay_after(delivery.attempts)
    state = WebhookDelivery.State.FAILED if delay is None else WebhookDelivery.State.PENDING
    waiting = WebhookDelivery.objects.filter(
        pk=delivery.pk, state=WebhookDelivery.State.PENDING, attempts=delivery.attempts
    )
    waiting.update(
        state=state,
        next_attempt_at=None if delay is None else now + delay,
        status_code=reply.status,
        last_error=reply.error,
    )
    transaction.on_commit(metrics.WEBHOOKS.labels("failed" if delay is None else "retried").inc)
    logger.warning(
        "webhook not delivered",
        extra={
            "endpoint": delivery.endpoint_id,
            "event_id": delivery.event_id,
            "attempts": delivery.attempts,
            "error": reply.error,
        },
    )


def _switch_off(endpoint: WebhookEndpoint) -> None:
    """The receiver says that it is gone for good (410): it is told nothing more."""
    reason = "the endpoint answered 410 Gone and was switched off"
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(is_active=False)
    WebhookDelivery.objects.filter(endpoint=endpoint, state=WebhookDelivery.State.PENDING).update(
        state=WebhookDelivery.State.FAILED, next_attempt_at=None, last_error=reason
    )
    audit.record("webhooks", "switch off endpoint", f"webhook endpoint {endpoint.pk}")
    logger.error("endpoint switched off", extra={"endpoint": endpoint.pk, "reason": reason})


# --- afterwards -------------------------------------------------------------------------------


def told_of(messages: Sequence[DirectMessage]) -> QuerySet[WebhookDelivery]:
    """What was told of these messages, or is about to be."""
    events = MessageEvent.objects.filter(message__in=messages).values_list("pk", flat=True)
    endpoints = list(WebhookEndpoint.objects.values_list("pk", flat=True))
    return WebhookDelivery.objects.filter(  # by both, which have an index together
        endpoint__in=endpoints, event_id__in=[event_id(pk) for pk in events]
    )


def forget_messages(messages: Sequence[DirectMessage]) -> None:
    """Take what is personal out of what was told of messages."""
    for delivery in told_of(messages).select_for_update().order_by("pk"):
        data = delivery.payload["data"]
        kept = {name: value for name, value in data.items() if name in KEPT}
        delivery.payload["data"] = kept | {"erased": True}
        delivery.save(update_fields=["payload"])


def count_undelivered() -> dict[str, int]:
    """How many events wait, and how many are given up; counts the partial indexes."""
    states = (WebhookDelivery.State.PENDING, WebhookDelivery.State.FAILED)
    return {state.value: WebhookDelivery.objects.filter(state=state).count() for state in states}


def drop_old() -> int:
    """Drop a chunk of the deliveries that are older than `WEBHOOK_LOG_DAYS`; how many it was.

    Whatever came of them: the last attempt lies weeks back. The oldest have the lowest keys.
    """
    before = timezone.now() - timedelta(days=settings.WEBHOOK_LOG_DAYS)
    oldest = WebhookDelivery.objects.order_by("pk").values_list("pk", "created_at")[:CHUNK]
    old = [key for key, created_at in oldest if created_at < before]
    WebhookDelivery.objects.filter(pk__in=old).delete()
    return len(old)


def _wake_on_commit(delay: timedelta = timedelta(0)) -> None:
    from dmtrigger.tasks import deliver_webhooks  # which know this module

    seconds = delay.total_seconds()
    transaction.on_commit(partial(wake, deliver_webhooks, seconds), robust=True)
