"""A review is decided once, and what follows from it is stored with it or not at all."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from intents.models import Review
from intents.reviews import AlreadyDecided, CannotApprove, ContradictionError, decide
from intents.signals import review_approved
from tests.factories import CampaignFactory, ReviewFactory, UserFactory

pytestmark = pytest.mark.django_db
APPROVED, REJECTED = Review.Status.APPROVED, Review.Status.REJECTED


@pytest.fixture(autouse=True)
def campaign():
    return CampaignFactory()


def test_a_decision_is_stored_with_who_and_when():
    review, user = ReviewFactory(), UserFactory()
    decide(review.pk, REJECTED, user_id=user.pk, note="a joke")
    review.refresh_from_db()
    assert (review.status, review.decided_by, review.note) == (REJECTED, user, "a joke")
    assert review.decided_at is not None


@pytest.mark.parametrize("label", ["praise", "purchase_intent", ""])
def test_who_rejects_may_say_what_the_comment_really_is(label):
    review = ReviewFactory()
    decide(review.pk, REJECTED, user_id=UserFactory().pk, corrected_label=label)
    review.refresh_from_db()
    assert review.corrected_label == label


@pytest.mark.parametrize(
    ("predicted", "corrected"), [("purchase_intent", ""), ("other", "purchase_intent")]
)
@pytest.mark.parametrize("said", ["", "purchase_intent"])
def test_an_approval_corrects_a_model_that_said_another_label(predicted, corrected, said):
    review = ReviewFactory(intent__label=predicted)
    decide(review.pk, APPROVED, user_id=UserFactory().pk, corrected_label=said)
    review.refresh_from_db()
    assert review.corrected_label == corrected


def test_a_rule_corrects_no_model():
    review = ReviewFactory(intent__label="other")
    decide(review.pk, APPROVED, rule="campaign Launch")
    review.refresh_from_db()
    assert review.corrected_label == ""


def test_who_does_not_want_to_buy_cannot_be_approved():
    review = ReviewFactory()
    with pytest.raises(ContradictionError, match="said to be praise: reject it, or leave out"):
        decide(review.pk, APPROVED, user_id=UserFactory().pk, corrected_label="praise")
    review.refresh_from_db()
    assert review.status == Review.Status.PENDING


def test_the_same_decision_again_changes_nothing():
    review = ReviewFactory()
    first, second = UserFactory(), UserFactory()
    decided, is_new = decide(review.pk, APPROVED, user_id=first.pk)
    assert is_new
    again, is_new = decide(review.pk, APPROVED, user_id=second.pk)
    assert not is_new
    assert (again.decided_by, again.decided_at) == (first, decided.decided_at)


def test_the_other_decision_is_refused_and_says_who_decided():
    review = ReviewFactory()
    decide(review.pk, REJECTED, user_id=UserFactory(username="olga").pk)
    with pytest.raises(AlreadyDecided, match="rejected already by olga at 20"):
        decide(review.pk, APPROVED, user_id=UserFactory().pk)


def test_an_approval_from_which_nothing_can_follow_leaves_the_review_pending(campaign):
    campaign.delete()
    review = ReviewFactory()
    with pytest.raises(CannotApprove, match="no active campaign"):
        decide(review.pk, APPROVED, user_id=UserFactory().pk)
    review.refresh_from_db()
    assert review.status == Review.Status.PENDING


def test_an_approval_is_told_once_and_a_rejection_never():
    told = []

    def hear(review: Review, **_: Any) -> None:
        told.append(review.pk)

    review_approved.connect(hear)
    try:
        approved, rejected = ReviewFactory(), ReviewFactory()
        for _ in range(2):
            decide(approved.pk, APPROVED, user_id=UserFactory().pk)
            decide(rejected.pk, REJECTED, user_id=UserFactory().pk)
    finally:
        review_approved.disconnect(hear)
    assert told == [approved.pk]


@pytest.mark.parametrize(
    "fields",
    [{"status": "approved"}, {"decided_at": "2024-01-25T10:30:00Z"}],
    ids=["decided by nobody", "pending but decided"],
)
def test_the_database_refuses_half_a_decision(fields):
    review = ReviewFactory()
    with pytest.raises(IntegrityError), transaction.atomic():
        Review.objects.filter(pk=review.pk).update(**fields)
