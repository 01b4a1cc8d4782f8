"""The outbox: one row a message, claimed, sent and recorded. The only writer of its tables.

Claiming and recording are short transactions and the request lies between them, so there is
always a row that says what was about to happen: a worker killed in between leaves a message in
`sending`, which `rescue_stuck` turns into `unknown`.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, Min, OuterRef
from django.db.models.functions import Greatest
from django.utils import timezone

from comments.parsing import storable
from dmtrigger import audit, campaigns, metrics, pacing, refusals, webhooks
from dmtrigger.campaigns import Draft
from dmtrigger.models import DeliveryAttempt, DirectMessage, MessageEvent
from dmtrigger.retry import GIVES_SLOT_BACK, Kind, Outcome, next_step
from dmtrigger.schedule import earliest
from dmtrigger.senders import senders
from dmtrigger.senders.contract import Channel, Delivery, Endpoint, Sender
from dmtrigger.states import CLAIMABLE, State, check_move
from intents import reviews
from intents.models import Review

logger = logging.getLogger(__name__)

STUCK_AFTER = timedelta(minutes=5)  # a sender gives up long before, as a rule
MAX_DETAIL = 1_000  # characters kept of what a platform says


class NotUnknown(Exception):
    """The message's outcome is known, so there is nothing to settle."""


class NotWaiting(Exception):
    """The message does not wait any more, so it cannot be taken back."""


class Retired(NamedTuple):
    """How far `retire` has come, and the messages that have no person any more."""

    last_event: int
    message_ids: list[int]


# --- in ---------------------------------------------------------------------------------------


def enqueue(review: Review, draft: Draft) -> DirectMessage:
    """Store the message of an approved review, in the transaction of the approval.

    A message that was taken back before it was ever tried is made anew. Raises IntegrityError if
    the comment has another one already.
    """
    comment, intent, now = review.intent.comment, review.intent, timezone.now()
    grace = timedelta(seconds=settings.GRACE_SECONDS if review.decided_by_id else 0)
    campaign = draft.campaign
    content: dict[str, Any] = {
        "external_id": comment.external_id,
        "source": comment.source,
        "post_id": comment.post_id,
        "posted_at": comment.posted_at,
        "reason": _reason(review, draft),
        "score": intent.score,
        "model_version": intent.model_version,
        "review": review,
        "account": pacing.stored(draft.account),
        "campaign": campaign,
        "variant": draft.variant,
        "channel": campaign.channel,
        "sender": draft.sender.name,
        "recipient": comment.author,
        "text": draft.text,
        "link": draft.link,
        "next_attempt_at": earliest(
            now,
            max(grace, timedelta(seconds=campaign.delay_seconds)),
            campaign.quiet_from,
            campaign.quiet_until,
            campaign.time_zone,
        ),
        "expires_at": comment.posted_at + draft.sender.window,
    }
    taken_back = DirectMessage.objects.select_for_update().filter(
        comment_id=comment.pk, state=State.CANCELLED, maybe_delivered=False
    )
    message = taken_back.first() or DirectMessage(comment_id=comment.pk)
    _move(message, State.PENDING, content, detail=content["reason"], by=_who(review))
    return message


def undo(review_id: int, by: str) -> DirectMessage:
    """Take back the approval of a review whose message has not left: both wait again.

    Raises NotWaiting, Review.DoesNotExist.
    """
    with transaction.atomic():
        review = Review.objects.select_for_update().get(pk=review_id)
        message = DirectMessage.objects.filter(review=review).first()
        if message is None:
            raise NotWaiting(f"{review} has no message")
        message = cancel(message.pk, by, why="the approval was undone")
        reviews.reopen(review.pk, by)
    return message


def cancel(message_id: int, by: str, *, why: str = "taken back") -> DirectMessage:
    """Take back a message that waits. Raises NotWaiting, DirectMessage.DoesNotExist."""
    with transaction.atomic():
        message = DirectMessage.objects.select_for_update().get(pk=message_id)
        if message.state != State.PENDING:
            raise NotWaiting(f"{message} can't be taken back any more")
        _move(message, State.CANCELLED, {"next_attempt_at": None}, detail=why, by=by)
        audit.record(by, "cancel message", f"message {message.pk}", why=why)
    return message


# --- out --------------------------------------------------------------------------------------


def deliver_next() -> DirectMessage | None:
    """Claim the message that may leave and expires first, send it, record the outcome.

    None if none may leave now.
    """
    by_name = senders()
    claimed = _claim(by_name)
    if claimed is None:
        return None
    message, attempt = claimed
    sender = by_name[message.sender]
    return _record(attempt, _send(sender, message), idempotent=sender.idempotent)


def is_more_due() -> bool:
    """Whether messages wait that may be due; their accounts may still have to wait."""
    due = DirectMessage.objects.filter(state__in=CLAIMABLE, next_attempt_at__lte=timezone.now())
    return due.exists()


def _claim(by_name: Mapping[str, Sender]) -> tuple[DirectMessage, DeliveryAttempt] | None:
    passed_over: list[int] = []
    while True:
        now = timezone.now()
        with transaction.atomic():
            account = pacing.next_account(now, list(by_name), passed_over)
            if account is None:
                return None
            message = (
                DirectMessage.objects.select_for_update(skip_locked=True, of=("self",))
                .select_related("campaign__endpoint", "account")
                .filter(account=account, state__in=CLAIMABLE, next_attempt_at__lte=now)
                .filter(sender__in=by_name)
                .order_by("expires_at", "pk")
                .first()
            )
            if message is None:
                passed_over.append(account.pk)
                continue
            if not _may_leave(message, now):
                continue
            if not pacing.has_slot(account, by_name[message.sender], now):
                continue
            return message, _begin(message, now)


def _may_leave(message: DirectMessage, now: datetime) -> bool:
    """The last look before a message leaves; if it may not, it is moved on."""
    in_doubt = message.state == State.UNKNOWN
    if not in_doubt and message.expires_at <= now:
        _expire(message)
        return False
    refused = campaigns.last_look(message, now)
    if refused:
        reasons = "; ".join(each.reason for each in refused)
        refusals.record(message.comment_id, message.campaign_id, refused)
        if in_doubt:  # to ask could deliver it: a person finds out
            _move(message, State.UNKNOWN, {"next_attempt_at": None}, detail=reasons)
        else:
            changes = {"next_attempt_at": None, "last_error": reasons}
            _move(message, State.SUPPRESSED, changes, detail=reasons)
        return False
    campaign = message.campaign
    quiet = campaign.quiet_from, campaign.quiet_until, campaign.time_zone
    later = earliest(now, timedelta(0), *quiet)
    if later > now and not in_doubt:
        message.next_attempt_at = later
        message.save(update_fields=["next_attempt_at"])
        return False
    return True


def _begin(message: DirectMessage, now: datetime) -> DeliveryAttempt:
    _move(
        message,
        State.SENDING,
        {"claimed_at": now, "next_attempt_at": None, "attempts": message.attempts + 1},
    )
    return DeliveryAttempt.objects.create(
        message=message, number=message.attempts, account_id=message.account_id
    )


def _send(sender: Sender, message: DirectMessage) -> Outcome:
    endpoint = message.campaign.endpoint
    delivery = Delivery(
        key=f"message-{message.pk}",
        comment_id=message.external_id,
        post_id=message.post_id,
        account=message.account.name,
        recipient=message.recipient,
        text=message.text,
        channel=Channel(message.channel),
        endpoint=Endpoint(endpoint.url, endpoint.secret) if endpoint else None,
    )
    try:
        outcome = sender.send(delivery)
    except Exception as error:  # a sender's bug must not leave the outcome unsaid
        logger.exception("the sender failed", extra={"message_id": message.pk})
        return Outcome(Kind.UNKNOWN, f"the sender failed: {error!r}")
    # What a platform says is a stranger's text: it must fit the columns.
    detail = storable(outcome.detail)[:MAX_DETAIL]
    return outcome._replace(detail=detail, message_id=storable(outcome.message_id)[:200])


@transaction.atomic
def _record(
    attempt: DeliveryAttempt, outcome: Outcome, *, idempotent: bool = False
) -> DirectMessage:
    """Store an attempt's outcome, and move its message on.

    A worker that was given up may report late, when a later attempt has the message. Then only
    its good news counts: the message was delivered after all.
    """
    locked = DirectMessage.objects.select_for_update(of=("self",)).select_related("account")
    message = locked.get(pk=attempt.message_id)
    if message.is_erased:  # meanwhile; the platform's words could name the person
        outcome = outcome._replace(detail="", message_id="")
    now = timezone.now()
    attempt.outcome, attempt.detail, attempt.finished_at = outcome.kind, outcome.detail, now
    attempt.takes_slot = outcome.kind not in GIVES_SLOT_BACK
    attempt.save()
    if not attempt.takes_slot:
        pacing.slot_is_back(message.account_id)
    late = message.attempts != attempt.number or message.state != State.SENDING
    # What it says of the account holds also where an echo was faster and has settled the message.
    echoed = message.state == State.SENT and message.attempts == attempt.number
    if echoed or not late:
        pacing.heed(message.account, outcome, now)
    if message.state == State.SENT or (late and outcome.kind is not Kind.SENT):
        return message
    step = next_step(
        outcome,
        attempts=attempt.number,
        was_unknown=message.maybe_delivered,
        idempotent=idempotent,
        time_left=message.expires_at - now,
    )
    changes = {
        "next_attempt_at": now + step.delay if step.delay is not None else None,
        "maybe_delivered": message.maybe_delivered or outcome.kind is Kind.UNKNOWN,
        "last_error": "" if outcome.kind is Kind.SENT else outcome.detail,
        "platform_message_id": outcome.message_id,
        "sent_at": now if step.state is State.SENT else None,
    }
    _move(message, step.state, changes, detail=outcome.detail, late=late)
    return message


# --- afterwards -------------------------------------------------------------------------------


def settle(message_id: int, *, delivered: bool, by: str) -> DirectMessage:
    """What a person found out about an unknown outcome: sent, or to be sent again now.

    Raises NotUnknown when there is nothing to settle, DirectMessage.DoesNotExist.
    """
    with transaction.atomic():
        message = DirectMessage.objects.select_for_update().get(pk=message_id)
        if message.state != State.UNKNOWN:
            raise NotUnknown(f"{message} is not in doubt")
        now = timezone.now()
        changes = {
            "sent_at": now if delivered else None,
            "next_attempt_at": None if delivered else now,
            "maybe_delivered": False,
        }
        what = "it was delivered" if delivered else "it was not delivered"
        _move(message, State.SENT if delivered else State.PENDING, changes, detail=what, by=by)
        audit.record(by, "settle message", f"message {message.pk}", delivered=delivered)
    return message


def confirm(comment_id: int, platform_message_id: str) -> bool:
    """The platform says by itself (an echo) that the comment's message went out.

    Settles an outcome that is unknown, or will be: the echo may come before the answer does.
    Returns whether it did. What is sent already stays as it is.
    """
    with transaction.atomic():
        unsettled = DirectMessage.objects.select_for_update().filter(
            comment_id=comment_id, state__in=(State.UNKNOWN, State.SENDING)
        )
        message = unsettled.first()
        if message is None:
            return False
        changes = {
            "sent_at": timezone.now(),
            "next_attempt_at": None,
            "last_error": "",
            "platform_message_id": (
                "" if message.is_erased else storable(platform_message_id)[:200]
            ),
        }
        _move(message, State.SENT, changes, detail="the platform's echo says so")
    return True


def rescue_stuck() -> int:
    """Messages whose worker died between claim and record: nobody knows whether they went out.

    Returns how many there were.
    """
    outcome = Outcome(Kind.UNKNOWN, "the worker died while it was sending")
    long_ago = timezone.now() - STUCK_AFTER
    stuck = DirectMessage.objects.filter(state=State.SENDING, claimed_at__lt=long_ago)
    by_name, rescued = senders(), 0
    for pk in stuck.values_list("pk", flat=True):
        with transaction.atomic():
            # Looked at again under the lock: its worker may just have recorded the outcome.
            message = stuck.select_for_update(skip_locked=True).filter(pk=pk).first()
            if message is not None:
                sender = by_name.get(message.sender)
                attempt = message.log.get(number=message.attempts)
                _record(attempt, outcome, idempotent=sender is not None and sender.idempotent)
                rescued += 1
    return rescued


def expire_overdue() -> int:
    """Messages that still wait when the platform's window has closed say so; how many."""
    overdue = DirectMessage.objects.filter(state=State.PENDING, expires_at__lte=timezone.now())
    expired = 0
    for pk in overdue.values_list("pk", flat=True):
        with transaction.atomic():
            message = overdue.select_for_update(skip_locked=True).filter(pk=pk).first()
            if message is not None:
                _expire(message)
                expired += 1
    return expired


def forget_reviews(before_id: int, **_: Any) -> None:
    """Let go of the reviews of comments below `before_id` (a `reviews_retired` receiver)."""
    DirectMessage.objects.filter(comment_id__lt=before_id).exclude(review=None).update(review=None)
    refusals.forget(before_id)


def forget_person(source: str, name: str, replacement: str) -> list[DirectMessage]:
    """Take a person out of their messages, in the caller's transaction; returns those messages.

    What waits is taken back. What is being sent ends by itself and is not tried again, and what may
    have been delivered is left to the platform's echo or to an operator.
    """
    mine = DirectMessage.objects.select_for_update().filter(source=source, recipient=name)
    messages = list(mine.order_by("pk"))  # reads the table, where few states have an index: rare
    for message in messages:
        if message.state == State.PENDING:
            changes = _nothing_of(replacement)
            _move(message, State.CANCELLED, changes, detail="the person's data was erased")
        else:
            _erase(message, replacement)
    MessageEvent.objects.filter(message__in=messages).update(detail="")
    DeliveryAttempt.objects.filter(message__in=messages).update(detail="")
    return messages


def retire(before: datetime, after: int, limit: int) -> Retired | None:
    """Take the persons out of messages to which nothing has happened since `before`.

    Looks at the `limit` events that follow the event `after`; None when they are not old. The
    messages' history goes with them, which is how it is known what is left to do. Their rows stay:
    that a comment has had its message must be true for ever.
    """
    with transaction.atomic():
        events = MessageEvent.objects.filter(pk__gt=after).order_by("pk")[:limit]
        old = [event for event in events if event.at < before]
        if not old:
            return None
        moved_since = MessageEvent.objects.filter(message=OuterRef("pk"), at__gte=before)
        messages = (
            DirectMessage.objects.select_for_update()
            .filter(pk__in={event.message_id for event in old})
            .exclude(state__in=(State.PENDING, State.SENDING))
            .exclude(Exists(moved_since))
        )
        done = list(messages.order_by("pk"))
        for message in done:
            _erase(message, "")
        MessageEvent.objects.filter(message__in=done).delete()
        DeliveryAttempt.objects.filter(message__in=done).delete()
    return Retired(old[-1].pk, [message.pk for message in done])


def _erase(message: DirectMessage, replacement: str) -> None:
    for field, value in _nothing_of(replacement).items():
        setattr(message, field, value)
    message.save()


def _nothing_of(replacement: str) -> dict[str, Any]:
    """What a message is without its person. It is not tried again."""
    return {
        "recipient": replacement,
        "text": "",
        "last_error": "",
        "platform_message_id": "",
        "next_attempt_at": None,
    }


def count_by_state() -> dict[str, int]:
    """How many messages there are in each state, those without any included."""
    rows = DirectMessage.objects.values_list("state").annotate(Count("pk"))
    return {state.value: 0 for state in State} | dict(rows)


def longest_overdue() -> timedelta:
    """For how long the message that is first due has had nothing in its way."""
    now = timezone.now()
    free_since = Greatest("next_attempt_at", "account__paused_until", "account__next_slot_at")
    free = DirectMessage.objects.annotate(free_since=free_since).filter(
        sender__in=senders(), state__in=CLAIMABLE, next_attempt_at__lte=now, free_since__lte=now
    )
    first = free.aggregate(at=Min("free_since"))["at"]
    return now - first if first else timedelta(0)


def next_expiry() -> timedelta | None:
    """The time left to the waiting message that expires first; None when none waits."""
    waiting = DirectMessage.objects.filter(state=State.PENDING, next_attempt_at__isnull=False)
    first = waiting.aggregate(at=Min("expires_at"))["at"]
    return max(first - timezone.now(), timedelta(0)) if first else None


def _expire(message: DirectMessage) -> None:
    reason = "the platform's window closed while it waited"
    if message.last_error:
        reason = f"{reason}; last: {message.last_error}"
    _move(message, State.EXPIRED, {"next_attempt_at": None, "last_error": reason}, detail=reason)


def _move(
    message: DirectMessage,
    state: State,
    changes: Mapping[str, Any],
    *,
    detail: str = "",
    by: str = "",
    late: bool = False,
) -> None:
    """Change a locked message and tell of it: its history, the webhooks, a metric, a log line."""
    changed = None
    if message.pk is not None:
        check_move(State(message.state), state, late=late)
        changed = ["state", *changes]
    message.state = state
    for field, value in changes.items():
        setattr(message, field, value)
    message.save(update_fields=changed)
    event = MessageEvent.objects.create(message=message, state=state, detail=detail, by=by)
    if state is not State.SENDING:  # that lasts a moment only
        webhooks.announce(message, event)

    def tell() -> None:
        metrics.MESSAGES.labels(state).inc()
        if state is State.SENT and message.sent_at and not by:  # a person may settle it days later
            seconds = (message.sent_at - message.posted_at).total_seconds()
            metrics.TO_MESSAGE.observe(max(seconds, 0))
        logger.info(
            "message moved",
            extra={
                "state": state,
                "message_id": message.pk,
                "comment_id": message.comment_id,
                "attempts": message.attempts,
                "error": message.last_error,
            },
        )

    transaction.on_commit(tell)


def _reason(review: Review, draft: Draft) -> str:
    intent = review.intent
    edited = ", who edited the text" if draft.is_edited else ""
    said = f"{intent.label} {intent.score} ({intent.model_version})"
    return f"{said}, approved by {_who(review)}{edited}"


def _who(review: Review) -> str:
    return str(review.decided_by or review.decided_by_rule)
