"""What follows from a flagged intent and from an approval (receivers of the intents' signals)."""

import logging
from functools import partial
from typing import Any

from django.db import transaction

from comments.wakeup import wake
from dmtrigger import outbox
from dmtrigger.campaigns import campaign_for, draft
from dmtrigger.tasks import deliver_direct_messages
from intents.models import Review
from intents.reviews import CannotApprove, decide

logger = logging.getLogger(__name__)


def approve_by_rule(reviews: list[Review], **_: Any) -> None:
    """Approve what a campaign's threshold allows; the rest waits for an operator.

    So does every result that is held: its score is not the full model's, or not to be trusted.
    """
    for review in reviews:
        if review.intent.hold:
            continue
        comment, score = review.intent.comment, review.intent.score
        campaign = campaign_for(comment)
        if campaign is None or campaign.auto_threshold is None or score < campaign.auto_threshold:
            continue
        rule = f"campaign {campaign}: score {score} from {campaign.auto_threshold} on"
        try:
            decide(review.pk, Review.Status.APPROVED, rule=rule)
        except CannotApprove as problem:
            logger.warning(
                "left to an operator", extra={"review_id": review.pk, "problem": str(problem)}
            )


def enqueue_message(review: Review, **_: Any) -> None:
    """An approval puts the message into the outbox, in the transaction of the decision."""
    outbox.enqueue(review, draft(review.intent.comment))
    transaction.on_commit(partial(wake, deliver_direct_messages), robust=True)
