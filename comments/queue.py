"""The queue of comments that nobody has analysed: the rows themselves (`analyzed_at IS NULL`)."""

from collections.abc import Sequence
from datetime import timedelta

from django.db.models.functions import Now
from django.utils import timezone

from comments.models import Comment


def claim_unanalyzed(limit: int) -> list[Comment]:
    """The oldest `limit` comments that wait, locked until the caller's transaction ends.

    Several workers at once get different rows. A worker that dies lets go of its rows with its
    connection, and the next one gets them.
    """
    waiting = Comment.objects.select_for_update(skip_locked=True).filter(analyzed_at=None)
    return list(waiting.order_by("id")[:limit])


def mark_analyzed(comments: Sequence[Comment]) -> None:
    """Take comments out of the queue, in the transaction that stores what became of them."""
    Comment.objects.filter(pk__in=[comment.pk for comment in comments]).update(analyzed_at=Now())


def longest_wait() -> timedelta:
    """For how long the oldest of the comments that wait has been stored."""
    waiting = Comment.objects.filter(analyzed_at=None).order_by("id")
    oldest = waiting.values_list("created_at", flat=True).first()
    return timezone.now() - oldest if oldest else timedelta(0)


def count_unanalyzed() -> int:
    """How many comments wait; counts the partial index, not the table."""
    return Comment.objects.filter(analyzed_at=None).count()
