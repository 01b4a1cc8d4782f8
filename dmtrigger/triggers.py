"""What follows from a flagged intent and from an approval (receivers of the intents' signals)."""

import logging
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from comments.wakeup import wake
from dmtrigger import outbox, people, policy, refusals
from dmtrigger.campaigns import approves, campaign_for, draft
from dmtrigger.policy import Refused, Rule
from dmtrigger.tasks import deliver_direct_messages
from intents.models import Review
from intents.reviews import CannotApprove, decide

logger = logging.getLogger(__name__)

NEVER_ANSWERED = frozenset({Rule.OWN_COMMENT, Rule.BLOCKED, Rule.OPTED_OUT})
"""An operator could not approve these either, so none is asked."""


class PolicyRefused(CannotApprove):
    """The policy forbids the message."""

    def __init__(self, campaign_id: int, found: list[Refused]) -> None:
        super().__init__("; ".join(refused.reason for refused in found))
        self.campaign_id = campaign_id
        self.found = found


def approve_by_rule(reviews: list[Review], **_: Any) -> None:
    """Approve what a campaign's threshold allows; the rest waits for an operator.

    So does every result that is held: its score is not the full model's, or not to be trusted.
    """
    for review in reviews:
        try:
            _approve_by_rule(review)
        except CannotApprove as problem:
            logger.info(
                "left to an operator", extra={"review_id": review.pk, "problem": str(problem)}
            )


def _approve_by_rule(review: Review) -> None:
    intent = review.intent
    campaign = campaign_for(intent, timezone.now())
    if campaign is not None and approves(campaign, intent):
        rule = f"campaign {campaign}: score {intent.score} from {campaign.auto_threshold} on"
        try:
            decide(review.pk, Review.Status.APPROVED, rule=rule)
        except PolicyRefused as refused:
            if not _reject_what_is_never_answered(review, refused.campaign_id, refused.found):
                raise
    else:
        planned = draft(intent, campaign=campaign)
        _reject_what_is_never_answered(review, planned.campaign.pk, planned.refused)


def _reject_what_is_never_answered(review: Review, campaign_id: int, found: list[Refused]) -> bool:
    never = [refused for refused in found if refused.rule in NEVER_ANSWERED]
    if never:
        refusals.record(review.intent_id, campaign_id, never)
        rule = f"policy: {never[0].rule.label}"  # names nobody
        decide(review.pk, Review.Status.REJECTED, rule=rule)
    return bool(never)


def enqueue_message(review: Review, **_: Any) -> None:
    """An approval puts the message into the outbox, in the transaction of the decision.

    The person is locked before the policy looks: of two approvals at once one sees the other.
    """
    comment = review.intent.comment
    people.lock(comment.source, comment.author)
    planned = draft(review.intent)
    found = policy.binding(planned.refused, by_person=review.decided_by_id is not None)
    if found:
        raise PolicyRefused(planned.campaign.pk, found)
    message = outbox.enqueue(review, planned)
    due = message.next_attempt_at or timezone.now()
    seconds = max(0.0, (due - timezone.now()).total_seconds())
    _wake_on_commit(seconds)


@dataclass(frozen=True)
class _WakeUp:
    """Wakes the delivery, in so many seconds."""

    seconds: float

    def __call__(self) -> None:
        wake(deliver_direct_messages, self.seconds)


def _wake_on_commit(seconds: float) -> None:
    """Once a transaction, however many messages it stores: the task goes on until none is left."""
    wake_up = _WakeUp(seconds)
    if wake_up not in (entry[1] for entry in connection.run_on_commit):
        transaction.on_commit(wake_up, robust=True)


def keep_refusal(review_id: int, problem: CannotApprove, **_: Any) -> None:
    """Keep by which rule an approval was refused (an `approval_refused` receiver)."""
    if isinstance(problem, PolicyRefused):
        comment_id = Review.objects.values_list("intent_id", flat=True).get(pk=review_id)
        refusals.record(comment_id, problem.campaign_id, problem.found)
