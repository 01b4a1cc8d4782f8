"""The reviews of flagged intents: made once, decided once. The only writer of `Review`."""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from intents import metrics
from intents.models import IntentResult, Label, Review
from intents.signals import (
    approval_refused,
    review_approved,
    review_decided,
    reviews_flagged,
    reviews_retired,
)

logger = logging.getLogger(__name__)

CLAIM_LASTS = timedelta(minutes=2)
"""How long a review stays claimed after its page was last heard of."""
PRECISION_OF, PRECISION_LEAST = timedelta(days=7), 20


class CannotApprove(Exception):
    """Nothing could follow from the approval; the text says why and what to do."""


class ContradictionError(Exception):
    """The decision and what the comment is said to be cannot both be; the text says what to do."""


class ClaimedElsewhere(Exception):
    """Another operator has the review open; the text says who, and since when."""


class Decision(NamedTuple):
    """A decided review, and whether it was this call that decided it."""

    review: Review
    is_new: bool


class AlreadyDecided(Exception):
    """The review has the other decision already; the text says whose and since when."""


def flag(results: Sequence[IntentResult]) -> None:
    """Make a pending review for each result, in the caller's transaction."""
    if not results:
        return
    flagged = Review.objects.bulk_create(Review(intent=result) for result in results)
    reviews_flagged.send(sender="intents.reviews", reviews=flagged)
    transaction.on_commit(lambda: metrics.FLAGGED.inc(len(flagged)))


def decide(
    review_id: int,
    status: Review.Status,
    *,
    user_id: int | None = None,
    rule: str = "",
    note: str = "",
    corrected_label: str = "",
    told: Mapping[str, Any] | None = None,
) -> Decision:
    """Approve or reject; by a person or by a campaign's rule.

    `corrected_label` is what the person says the comment is. Who approves says that it is
    purchase intent; who rejects may say anything, also that (a buyer not to be written to).
    `told` goes on to the receivers of `review_approved`.

    Deciding the same again changes nothing and gives the first decision. Raises AlreadyDecided
    for the other decision, ClaimedElsewhere for a person while somebody else has the review,
    CannotApprove when nothing could follow (the review stays pending), ContradictionError,
    Review.DoesNotExist.
    """
    try:
        return _decide(review_id, status, user_id, rule, note, corrected_label, told or {})
    except CannotApprove as problem:
        # After the roll-back of what could not be, so that it can be kept.
        approval_refused.send(sender="intents.reviews", review_id=review_id, problem=problem)
        raise


def claim(review_id: int, user_id: int, *, take: bool = False) -> None:
    """The user has a waiting review's page open: until CLAIM_LASTS from now nobody else decides it.

    Again renews it. `take`: also from somebody else. Raises AlreadyDecided, ClaimedElsewhere,
    Review.DoesNotExist.
    """
    with transaction.atomic():
        review = _locked_pending(review_id)
        if not take:
            _check_claim(review, user_id)
        now, until = timezone.now(), review.claimed_until
        if review.claimed_by_id != user_id or until is None or until <= now:
            review.claimed_at = now
        review.claimed_by_id = user_id
        review.claimed_until = now + CLAIM_LASTS
        review.save(update_fields=["claimed_by", "claimed_at", "claimed_until"])


def release(review_id: int, user_id: int) -> None:
    """The user has left a review's page; what somebody else has claimed stays theirs."""
    mine = Review.objects.filter(pk=review_id, claimed_by=user_id)
    mine.update(claimed_by=None, claimed_at=None, claimed_until=None)


def claimed_elsewhere(review: Review, user_id: int) -> str:
    """Who else has the review open, and since when; empty where nobody has."""
    until = review.claimed_until
    if review.claimed_by_id in (None, user_id) or until is None or until <= timezone.now():
        return ""
    return f"{review.claimed_by} has had this review open since {review.claimed_at:%H:%M}"


def claimed_by_others(user_id: int) -> Q:
    """The reviews of which `claimed_elsewhere` says something."""
    live = Q(claimed_until__gt=timezone.now(), claimed_by__isnull=False)
    return live & ~Q(claimed_by=user_id)


def snooze(review_id: int, until: datetime | None, user_id: int) -> None:
    """Put a review off until then, or (None) have it wait again at once.

    Raises AlreadyDecided, ClaimedElsewhere, Review.DoesNotExist.
    """
    with transaction.atomic():
        review = _locked_pending(review_id)
        _check_claim(review, user_id)
        _let_go(review)
        review.snoozed_until = until
        review.snoozed_by_id = None if until is None else user_id
        review.save()


def is_snoozed() -> Q:
    """The reviews that are put off: they wait, but not yet."""
    return Q(snoozed_until__gt=timezone.now())


def waiting() -> QuerySet[Review]:
    """The reviews that wait for an operator now."""
    return Review.objects.filter(status=Review.Status.PENDING).exclude(is_snoozed())


def reopen(review_id: int, by: str) -> Review:
    """Have an approved review wait again, in the transaction that takes back what followed."""
    review = Review.objects.select_for_update().get(pk=review_id)
    review.status = Review.Status.PENDING
    review.decided_at = review.decided_by = None
    review.decided_by_rule = review.corrected_label = review.note = ""
    review.save()
    logger.info("review reopened", extra={"review_id": review.pk, "by": by})
    return review


def _decide(
    review_id: int,
    status: Review.Status,
    user_id: int | None,
    rule: str,
    note: str,
    corrected_label: str,
    told: Mapping[str, Any],
) -> Decision:
    approved = status == Review.Status.APPROVED
    if approved and corrected_label not in ("", Label.PURCHASE_INTENT):
        raise ContradictionError(
            f"Who gets a message wants to buy, and this is said to be {corrected_label}: "
            "reject it, or leave out what it is."
        )
    with transaction.atomic():
        locked = Review.objects.select_for_update(of=("self",))
        review = locked.select_related("intent__comment").get(pk=review_id)
        if review.status == status:
            return Decision(review, is_new=False)
        if review.status != Review.Status.PENDING:
            raise AlreadyDecided(describe(review))
        if user_id is not None:
            _check_claim(review, user_id)
        _let_go(review)
        review.status = status
        review.decided_at = timezone.now()
        review.decided_by_id = user_id
        review.decided_by_rule = rule
        review.note = note
        if approved:
            corrected_label = "" if rule or _was_said_to_buy(review) else Label.PURCHASE_INTENT
        review.corrected_label = corrected_label
        review.save()
        if approved:
            review_approved.send(sender="intents.reviews", review=review, **told)
        review_decided.send(sender="intents.reviews", review=review)
        transaction.on_commit(lambda: _note(review))
    return Decision(review, is_new=True)


def _locked_pending(review_id: int) -> Review:
    review = Review.objects.select_for_update().get(pk=review_id)
    if review.status != Review.Status.PENDING:
        raise AlreadyDecided(describe(review))
    return review


def _check_claim(review: Review, user_id: int) -> None:
    if problem := claimed_elsewhere(review, user_id):
        raise ClaimedElsewhere(problem)


def _let_go(review: Review) -> None:
    """What holds for a review only while it waits; not saved."""
    review.claimed_by = review.claimed_at = review.claimed_until = None
    review.snoozed_until = review.snoozed_by = None


def describe(review: Review) -> str:
    """Who decided, and when: "approved already by olga at 2026-03-01 08:30"."""
    who = review.decided_by or review.decided_by_rule
    return f"{review.status} already by {who} at {review.decided_at:%Y-%m-%d %H:%M}"


def retire(before_id: int, **_: Any) -> None:
    """Delete the reviews of comments below `before_id` (a `comments_retired` receiver).

    Django would load each of them to look for what refers to it; `reviews_retired` says it once.
    """
    reviews_retired.send(sender="intents.reviews", before_id=before_id)
    old = Review.objects.filter(intent_id__lt=before_id)
    old._raw_delete(old.db)


def forget(comment_ids: Collection[int], rule: str) -> int:
    """Take what operators noted off the reviews of comments whose authors are erased.

    Those that wait are rejected by `rule`, since nothing is left to decide by. In the caller's
    transaction; returns how many there are.
    """
    found = Review.objects.select_for_update().filter(intent__in=comment_ids).order_by("pk")
    for review in found:
        if review.status == Review.Status.PENDING:
            decide(review.pk, Review.Status.REJECTED, rule=rule)
    return Review.objects.filter(intent__in=comment_ids).update(note="")


def count_pending() -> int:
    """How many reviews wait; counts the partial index."""
    return Review.objects.filter(status=Review.Status.PENDING).count()


def longest_wait() -> timedelta:
    """For how long the oldest of the reviews waits that wait now."""
    oldest = waiting().order_by("flagged_at").values_list("flagged_at", flat=True).first()
    return timezone.now() - oldest if oldest else timedelta(0)


def precision() -> float | None:
    """The share of the reviews that operators decided lately which they approved.

    None where these are too few to say.
    """
    lately = Review.objects.filter(
        decided_by__isnull=False, decided_at__gt=timezone.now() - PRECISION_OF
    )
    counts = dict(lately.values_list("status").annotate(Count("pk")))
    decided = sum(counts.values())
    return counts.get(Review.Status.APPROVED, 0) / decided if decided >= PRECISION_LEAST else None


def _was_said_to_buy(review: Review) -> bool:
    return review.intent.label == Label.PURCHASE_INTENT


def _note(review: Review) -> None:
    metrics.DECISIONS.labels(review.status, "operator" if review.decided_by else "campaign").inc()
    logger.info(
        "review decided",
        extra={
            "review_id": review.pk,
            "comment_id": review.intent.comment_id,
            "decision": review.status,
            "by": str(review.decided_by or review.decided_by_rule),
        },
    )
