"""The reviews of flagged intents: made once, decided once. The only writer of `Review`."""

import logging
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from intents import metrics
from intents.models import IntentResult, Review
from intents.signals import review_approved, reviews_flagged

logger = logging.getLogger(__name__)


class CannotApprove(Exception):
    """Nothing could follow from the approval; the text says why and what to do."""


class AlreadyDecided(Exception):
    """The review has the other decision already; `review` says whose and since when."""

    def __init__(self, review: Review) -> None:
        who = review.decided_by or review.decided_by_rule
        super().__init__(f"{review.status} already by {who} at {review.decided_at:%Y-%m-%d %H:%M}")
        self.review = review


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
) -> Review:
    """Approve or reject; by a person or by a campaign's rule.

    Deciding the same again changes nothing and returns the first decision. Raises AlreadyDecided
    for the other decision, CannotApprove when nothing could follow (the review stays pending),
    Review.DoesNotExist.
    """
    with transaction.atomic():
        review = Review.objects.select_for_update().get(pk=review_id)
        if review.status == status:
            return review
        if review.status != Review.Status.PENDING:
            raise AlreadyDecided(review)
        review.status = status
        review.decided_at = timezone.now()
        review.decided_by_id = user_id
        review.decided_by_rule = rule
        review.note = note
        review.save()
        if status == Review.Status.APPROVED:
            review_approved.send(sender="intents.reviews", review=review)
        transaction.on_commit(lambda: _note(review))
    return review


def count_pending() -> int:
    """How many reviews wait; counts the partial index."""
    return Review.objects.filter(status=Review.Status.PENDING).count()


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
