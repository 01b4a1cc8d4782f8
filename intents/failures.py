"""Comments whose analysis failed: tried again a few times, then parked for an operator.

The only writer of `AnalysisFailure`, whose rows are a queue of their own. A comment that fails is
marked as analysed, so that it stands in no other comment's way, and gets its row, in one
transaction. From `retry_at` on the row is claimed with a batch and held locked until that batch's
transaction ends, which either deletes it with the result stored, or moves `retry_at` on. There is
no state in between: a worker killed at any line lets go of a row that is still due.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from comments.models import Comment
from comments.parsing import storable
from intents import metrics
from intents.models import AnalysisFailure

logger = logging.getLogger(__name__)

FIRST_DELAY = timedelta(seconds=30)  # and twice as long after each further failure,
MAX_DOUBLINGS = 7  # up to 64 minutes
MAX_REASON = 500  # characters


def claim_due(limit: int) -> list[Comment]:
    """Up to `limit` comments to try again now, locked until the caller's transaction ends.

    Several workers at once get different ones.
    """
    due = AnalysisFailure.objects.select_for_update(skip_locked=True).filter(
        retry_at__lte=timezone.now()
    )
    ids = [failure.pk for failure in due.order_by("retry_at")[:limit]]
    if not ids:
        return []
    comments = list(Comment.objects.filter(pk__in=ids))
    settle(set(ids) - {comment.pk for comment in comments})  # retired while they were tried
    return comments


def record(comment: Comment, error: Exception) -> None:
    """Note a failed attempt, in the transaction that takes the comment out of the queue."""
    failure = AnalysisFailure.objects.filter(pk=comment.pk).first()
    failure = failure or AnalysisFailure(pk=comment.pk, attempts=0)
    now = timezone.now()
    failure.attempts += 1
    failure.reason = storable(f"{type(error).__name__}: {error}")[:MAX_REASON]
    failure.failed_at = now
    failure.retry_at = None
    if failure.attempts <= settings.MAX_RETRIES:
        failure.retry_at = now + FIRST_DELAY * 2 ** min(failure.attempts - 1, MAX_DOUBLINGS)
    failure.save()
    transaction.on_commit(lambda: _tell(failure, error))


def settle(comment_ids: Collection[int]) -> None:
    """Forget failures: these comments are analysed now, or gone."""
    if comment_ids:
        AnalysisFailure.objects.filter(pk__in=comment_ids).delete()


def retry(comment_ids: Sequence[int]) -> int:
    """Have failed comments tried again at once, once more each; returns how many there are."""
    return AnalysisFailure.objects.filter(pk__in=comment_ids).update(retry_at=timezone.now())


def retire(before_id: int, **_: Any) -> None:
    """Forget the failures of comments below `before_id` (a `comments_retired` receiver)."""
    AnalysisFailure.objects.filter(comment_id__lt=before_id).delete()


def count_parked() -> int:
    """How many comments wait for an operator because their analysis failed."""
    return AnalysisFailure.objects.filter(retry_at=None).count()


def _tell(failure: AnalysisFailure, error: Exception) -> None:
    metrics.FAILURES.labels("parked" if failure.is_parked else "retried").inc()
    logger.warning(
        "analysis failed",
        exc_info=error,
        extra={
            "comment_id": failure.pk,
            "attempts": failure.attempts,
            "retry_at": failure.retry_at,
        },
    )
