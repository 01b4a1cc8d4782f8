"""An approval can be undone, and a message taken back, until it leaves."""

from datetime import timedelta

import pytest
from django.utils import timezone

from dmtrigger import outbox
from dmtrigger.models import AuditEntry, DirectMessage
from dmtrigger.states import State
from intents.models import Review
from intents.reviews import decide, flag
from tests.factories import (
    CampaignFactory,
    DirectMessageFactory,
    IntentResultFactory,
    ReviewFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def approved(operator) -> Review:
    CampaignFactory()
    review = ReviewFactory()
    decide(review.pk, Review.Status.APPROVED, user_id=operator.pk, note="yes")
    review.refresh_from_db()
    return review


def test_an_operator_s_approval_waits_for_the_grace_period(approved, settings):
    waits = approved.message.next_attempt_at - timezone.now()
    assert timedelta(seconds=8) < waits <= timedelta(seconds=settings.GRACE_SECONDS)
    assert outbox.deliver_next() is None


def test_a_rule_s_approval_does_not_wait():
    CampaignFactory(auto_threshold=60)
    flag([IntentResultFactory()])
    due = DirectMessage.objects.get().next_attempt_at
    assert due is not None
    assert due <= timezone.now()


def test_an_approval_is_undone_and_the_review_waits_again(approved):
    message = outbox.undo(approved.pk, "olga")
    assert (message.state, message.next_attempt_at) == (State.CANCELLED, None)
    approved.refresh_from_db()
    assert (approved.status, approved.decided_by, approved.note) == ("pending", None, "")
    assert AuditEntry.objects.get(action="cancel message").actor == "olga"


def test_what_was_undone_can_be_approved_again_and_is_one_message(approved, operator):
    outbox.undo(approved.pk, "olga")
    decide(approved.pk, Review.Status.APPROVED, user_id=operator.pk)
    message = DirectMessage.objects.get()
    assert message.state == State.PENDING
    assert message.next_attempt_at is not None
    states = list(message.events.order_by("pk").values_list("state", "by"))
    assert states == [("pending", "olga"), ("cancelled", "olga"), ("pending", "olga")]


@pytest.mark.parametrize("state", sorted(set(State) - {State.PENDING}))
def test_what_does_not_wait_cannot_be_taken_back(state):
    message = DirectMessageFactory(state=state)
    with pytest.raises(outbox.NotWaiting):
        outbox.cancel(message.pk, "olga")
    message.refresh_from_db()
    assert message.state == state


def test_an_undo_that_comes_too_late_leaves_the_review_as_it_is(approved):
    DirectMessage.objects.update(state=State.SENT)
    with pytest.raises(outbox.NotWaiting):
        outbox.undo(approved.pk, "olga")
    approved.refresh_from_db()
    assert approved.status == "approved"


def test_a_rejected_review_has_nothing_to_undo(operator):
    review = ReviewFactory()
    decide(review.pk, Review.Status.REJECTED, user_id=operator.pk)
    with pytest.raises(outbox.NotWaiting):
        outbox.undo(review.pk, "olga")


def test_the_echo_settles_a_message_in_doubt():
    message = DirectMessageFactory(state=State.UNKNOWN, maybe_delivered=True)
    assert outbox.confirm(message.comment_id, "m_1")
    message.refresh_from_db()
    assert (message.state, message.platform_message_id) == (State.SENT, "m_1")
    assert not outbox.confirm(message.comment_id, "m_2")


def test_an_echo_of_what_is_sent_changes_nothing():
    message = DirectMessageFactory(state=State.SENT, platform_message_id="m_1")
    assert not outbox.confirm(message.comment_id, "m_2")
    message.refresh_from_db()
    assert message.platform_message_id == "m_1"
