"""The outbox: one row a message, claimed, sent and recorded. The only writer of its tables.

Claiming and recording are short transactions and the request lies between them, so there is
always a row that says what was about to happen: a worker killed in between leaves a message in
`sending`, which `rescue_stuck` turns into `unknown`.
"""

import logging
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from comments.parsing import storable
from dmtrigger import metrics
from dmtrigger.campaigns import Draft
from dmtrigger.models import DeliveryAttempt, DirectMessage
from dmtrigger.retry import Kind, Outcome, next_step
from dmtrigger.senders import Send, senders
from dmtrigger.states import CLAIMABLE, State
from intents.models import Review

logger = logging.getLogger(__name__)

STUCK_AFTER = timedelta(minutes=5)  # a sender gives up long before, as a rule
WINDOW = timedelta(days=7)  # after the comment; Instagram's for private replies
MAX_DETAIL = 1_000  # characters kept of what a platform says


class NotUnknown(Exception):
    """The message's outcome is known, so there is nothing to settle."""


def enqueue(review: Review, draft: Draft) -> DirectMessage:
    """Store the message of an approved review, in the transaction of the approval.

    Raises IntegrityError if the comment has one already.
    """
    comment = review.intent.comment
    message = DirectMessage.objects.create(
        comment_id=comment.pk,
        external_id=comment.external_id,
        post_id=comment.post_id,
        posted_at=comment.posted_at,
        reason=_reason(review),
        review=review,
        campaign=draft.campaign,
        sender=comment.source,
        recipient=comment.author,
        text=draft.text,
        next_attempt_at=timezone.now(),
    )
    _tell(message)
    return message


def deliver_next() -> DirectMessage | None:
    """Claim the message that is due longest, send it, record the outcome; None if none is due."""
    by_name = senders()
    claimed = _claim(list(by_name))
    if claimed is None:
        return None
    message, attempt = claimed
    return _record(attempt, _send(by_name[message.sender], message))


def settle(message_id: int, *, delivered: bool) -> DirectMessage:
    """What a person found out about an unknown outcome: sent, or to be sent again now.

    Raises NotUnknown when there is nothing to settle, DirectMessage.DoesNotExist.
    """
    with transaction.atomic():
        message = DirectMessage.objects.select_for_update().get(pk=message_id)
        if message.state != State.UNKNOWN:
            raise NotUnknown(f"{message} is not in doubt")
        now = timezone.now()
        message.state = State.SENT if delivered else State.PENDING
        message.sent_at = now if delivered else None
        message.next_attempt_at = None if delivered else now
        message.maybe_delivered = False
        message.save()
        _tell(message)
    return message


def rescue_stuck() -> int:
    """Messages whose worker died between claim and record: nobody knows whether they went out.

    Returns how many there were.
    """
    outcome = Outcome(Kind.UNKNOWN, "the worker died while it was sending")
    long_ago = timezone.now() - STUCK_AFTER
    stuck = DirectMessage.objects.filter(state=State.SENDING, claimed_at__lt=long_ago)
    rescued = 0
    for pk in stuck.values_list("pk", flat=True):
        with transaction.atomic():
            # Looked at again under the lock: its worker may just have recorded the outcome.
            message = stuck.select_for_update(skip_locked=True).filter(pk=pk).first()
            if message is not None:
                _record(message.log.get(number=message.attempts), outcome)
                rescued += 1
    return rescued


def forget_reviews(before_id: int, **_: Any) -> None:
    """Let go of the reviews of comments below `before_id` (a `reviews_retired` receiver)."""
    DirectMessage.objects.filter(comment_id__lt=before_id).exclude(review=None).update(review=None)


def count_by_state() -> dict[str, int]:
    """How many messages there are in each state, those without any included."""
    rows = DirectMessage.objects.values_list("state").annotate(Count("pk"))
    return {state.value: 0 for state in State} | dict(rows)


def _reason(review: Review) -> str:
    intent, who = review.intent, review.decided_by or review.decided_by_rule
    return f"{intent.label} {intent.score} ({intent.model_version}), approved by {who}"


def _claim(sendable: list[str]) -> tuple[DirectMessage, DeliveryAttempt] | None:
    now = timezone.now()
    with transaction.atomic():
        message = (
            DirectMessage.objects.select_for_update(skip_locked=True)
            .filter(state__in=CLAIMABLE, next_attempt_at__lte=now, sender__in=sendable)
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


def _send(send: Send, message: DirectMessage) -> Outcome:
    try:
        outcome = send(message.external_id, message.text)
    except Exception as error:  # a sender's bug must not leave the outcome unsaid
        logger.exception("the sender failed", extra={"message_id": message.pk})
        return Outcome(Kind.UNKNOWN, f"the sender failed: {error!r}")
    # What a platform says is a stranger's text: it must fit the columns.
    detail = storable(outcome.detail)[:MAX_DETAIL]
    return outcome._replace(detail=detail, message_id=outcome.message_id[:200])


@transaction.atomic
def _record(attempt: DeliveryAttempt, outcome: Outcome) -> DirectMessage:
    """Store an attempt's outcome, and move its message on.

    A worker that was given up may report late, when a later attempt has the message. Then only
    its good news counts: the message was delivered after all.
    """
    message = DirectMessage.objects.select_for_update().get(pk=attempt.message_id)
    now = timezone.now()
    attempt.outcome, attempt.detail, attempt.finished_at = outcome.kind, outcome.detail, now
    attempt.save()
    late = message.attempts != attempt.number or message.state != State.SENDING
    if message.state == State.SENT or (late and outcome.kind is not Kind.SENT):
        return message
    step = next_step(
        outcome,
        attempts=attempt.number,
        was_unknown=message.maybe_delivered,
        time_left=message.posted_at + WINDOW - now,
    )
    message.state = step.state
    message.next_attempt_at = now + step.delay if step.delay is not None else None
    message.maybe_delivered = message.maybe_delivered or outcome.kind is Kind.UNKNOWN
    message.last_error = "" if outcome.kind is Kind.SENT else outcome.detail
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
