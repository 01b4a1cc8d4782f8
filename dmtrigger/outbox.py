"""The outbox: one row a message, claimed, sent and recorded. The only writer of its tables.

Claiming and recording are short transactions and the request lies between them, so there is
always a row that says what was about to happen: a worker killed in between leaves a message in
`sending`, which `rescue_stuck` turns into `unknown`.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F
from django.utils import timezone

from dmtrigger import metrics
from dmtrigger.campaigns import Draft
from dmtrigger.models import DeliveryAttempt, DirectMessage
from dmtrigger.retry import Kind, Outcome, next_step
from dmtrigger.senders import get_sender
from dmtrigger.states import CLAIMABLE, State
from intents.models import Review

logger = logging.getLogger(__name__)

STUCK_AFTER = timedelta(minutes=5)  # far longer than any sender's time-out


def enqueue(review: Review, draft: Draft) -> DirectMessage:
    """Store the message of an approved review, in the transaction of the approval.

    Raises IntegrityError if the comment has one already.
    """
    comment = review.intent.comment
    message = DirectMessage.objects.create(
        comment=comment,
        review=review,
        campaign=draft.campaign,
        sender=settings.MESSAGE_SENDER,
        recipient=comment.author,
        text=draft.text,
        next_attempt_at=timezone.now(),
    )
    _tell(message)
    return message


def deliver_next() -> DirectMessage | None:
    """Claim the message that is due longest, send it, record the outcome; None if none is due."""
    claimed = _claim()
    if claimed is None:
        return None
    message, attempt = claimed
    outcome = get_sender(message.sender)(message.comment.external_id, message.text)
    return _record(attempt, outcome)


def rescue_stuck() -> int:
    """Messages whose worker died between claim and record: nobody knows whether they went out.

    Returns how many there were.
    """
    stuck = DeliveryAttempt.objects.filter(
        message__state=State.SENDING,
        message__claimed_at__lt=timezone.now() - STUCK_AFTER,
        number=F("message__attempts"),
    )
    attempts = list(stuck)
    for attempt in attempts:
        _record(attempt, Outcome(Kind.UNKNOWN, "the worker died while it was sending"))
    return len(attempts)


def count_by_state() -> dict[str, int]:
    """How many messages there are in each state, those without any included."""
    rows = DirectMessage.objects.values_list("state").annotate(Count("pk"))
    return {state.value: 0 for state in State} | dict(rows)


def _claim() -> tuple[DirectMessage, DeliveryAttempt] | None:
    now = timezone.now()
    with transaction.atomic():
        message = (
            DirectMessage.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("comment")
            .filter(state__in=CLAIMABLE, next_attempt_at__lte=now)
            .order_by("next_attempt_at")
            .first()
        )
        if message is None:
            return None
        message.state = State.SENDING
        message.claimed_at = now
        message.next_attempt_at = None
        message.attempts += 1
        message.save()
        attempt = DeliveryAttempt.objects.create(message=message, number=message.attempts)
    return message, attempt


@transaction.atomic
def _record(attempt: DeliveryAttempt, outcome: Outcome) -> DirectMessage:
    """Store an attempt's outcome and move its message on, unless a later attempt has it by now."""
    message = DirectMessage.objects.select_for_update().get(pk=attempt.message_id)
    now = timezone.now()
    attempt.outcome, attempt.detail, attempt.finished_at = outcome.kind, outcome.detail, now
    attempt.save()
    if message.attempts != attempt.number or message.state not in (State.SENDING, State.UNKNOWN):
        return message
    earlier = message.log.filter(number__lt=attempt.number)
    was_unknown = earlier.filter(outcome=Kind.UNKNOWN).exists()
    step = next_step(outcome, attempts=attempt.number, was_unknown=was_unknown)
    message.state = step.state
    message.next_attempt_at = now + step.delay if step.delay is not None else None
    message.last_error = "" if step.state is State.SENT else outcome.detail
    message.platform_message_id = outcome.message_id
    message.sent_at = now if step.state is State.SENT else None
    message.save()
    _tell(message)
    return message


def _tell(message: DirectMessage) -> None:
    """Metric and log line for the state that a message has come to, once it is committed."""

    def tell() -> None:
        metrics.MESSAGES.labels(message.state).inc()
        logger.info(
            "message moved",
            extra={
                "state": message.state,
                "message_id": message.pk,
                "comment_id": message.comment_id,
                "attempts": message.attempts,
                "error": message.last_error,
            },
        )

    transaction.on_commit(tell)
