"""What was not sent, and why. The only writer of `Refusal`."""

from collections.abc import Collection, Sequence

from django.db import transaction

from dmtrigger import metrics
from dmtrigger.models import Refusal
from dmtrigger.policy import Refused


def record(comment_id: int, campaign_id: int, found: Sequence[Refused]) -> None:
    """Keep and count them, once for each rule however often it refuses the same."""
    for refused in found:
        _, is_new = Refusal.objects.get_or_create(
            comment_id=comment_id,
            campaign_id=campaign_id,
            rule=refused.rule,
            defaults={"reason": refused.reason},
        )
        if is_new:
            transaction.on_commit(metrics.REFUSED.labels(refused.rule).inc)


def forget(before_id: int) -> None:
    """Drop those of comments below `before_id`, which are retired."""
    Refusal.objects.filter(comment_id__lt=before_id).delete()


def forget_persons(comment_ids: Collection[int]) -> int:
    """Take the names out of the refusals of comments whose authors are erased; how many."""
    return Refusal.objects.filter(comment_id__in=comment_ids).update(reason="")
