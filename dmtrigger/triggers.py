"""What follows from a flagged intent and from an approval (receivers of the intents' signals)."""

import logging
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from comments.wakeup import wake, wake_unless_woken
from dmtrigger import outbox, people, policy, refusals
from dmtrigger.campaigns import Draft, active_campaigns, approves, draft
from dmtrigger.models import Campaign
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
    comments = [review.intent.comment for review in reviews]
    people.lock(*((comment.source, comment.author) for comment in comments))
    among = active_campaigns()
    for review in reviews:
        try:
            _approve_by_rule(review, among)
        except CannotApprove as problem:
            logger.info(
                "left to an operator", extra={"review_id": review.pk, "problem": str(problem)}
            )


def _approve_by_rule(review: Review, among: list[Campaign]) -> None:
    intent = review.intent
    planned = draft(intent, among)
    campaign, found = planned.campaign, planned.refused
    automatic = approves(campaign, intent)
    never = [refused for refused in found if refused.rule in NEVER_ANSWERED]
    if never:
        refusals.record(intent.comment_id, campaign.pk, never)
        rule = f"policy: {never[0].rule.label}"  # names nobody
        decide(review.pk, Review.Status.REJECTED, rule=rule)
    elif automatic and found:
        refusals.record(intent.comment_id, campaign.pk, found)
        raise PolicyRefused(campaign.pk, found)
    elif automatic:
        rule = f"campaign {campaign}: score {intent.score} from {campaign.auto_threshold} on"
        decide(review.pk, Review.Status.APPROVED, rule=rule, told={"planned": planned})


def enqueue_message(
    review: Review, planned: Draft | None = None, edited: str | None = None, **_: Any
) -> None:
    """An approval puts the message into the outbox, in the transaction of the decision.

    The person is locked before the policy looks: of two approvals at once one sees the other.
    `planned` is the message where that was done already, and nothing stands against it; `edited` is
    the text that the operator wrote instead of the campaign's.
    """
    if planned is None:
        comment = review.intent.comment
        people.lock((comment.source, comment.author))
        planned = draft(review.intent, edited=edited)
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
        if self.seconds:
            wake(deliver_direct_messages, self.seconds)
        else:
            wake_unless_woken(deliver_direct_messages)


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
