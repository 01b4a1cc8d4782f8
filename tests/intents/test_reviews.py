"""A review is decided once, and what follows from it is stored with it or not at all."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from intents import reviews
from intents.models import Review
from intents.reviews import (
    AlreadyDecided,
    CannotApprove,
    ClaimedElsewhere,
    ContradictionError,
    decide,
)
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


# --- who has it open --------------------------------------------------------------------------


@pytest.fixture
def olga(db):
    return UserFactory(username="olga")


@pytest.fixture
def otto(db):
    return UserFactory(username="otto")


def let_time_pass(review: Review, minutes: int) -> None:
    review.refresh_from_db()
    assert review.claimed_at is not None
    assert review.claimed_until is not None
    gone = timedelta(minutes=minutes)
    Review.objects.filter(pk=review.pk).update(
        claimed_at=review.claimed_at - gone, claimed_until=review.claimed_until - gone
    )


def test_what_somebody_else_has_open_is_not_decided(olga, otto):
    review = ReviewFactory()
    reviews.claim(review.pk, otto.pk)
    with pytest.raises(ClaimedElsewhere, match="otto has had this review open since"):
        decide(review.pk, REJECTED, user_id=olga.pk)
    review.refresh_from_db()
    assert review.status == Review.Status.PENDING
    assert decide(review.pk, REJECTED, user_id=otto.pk).is_new


def test_a_campaigns_rule_asks_for_no_claim(otto):
    review = ReviewFactory()
    reviews.claim(review.pk, otto.pk)
    assert decide(review.pk, REJECTED, rule="policy: blocked").is_new


def test_a_claim_is_over_when_nothing_was_heard_of_its_page(olga, otto):
    review = ReviewFactory()
    reviews.claim(review.pk, otto.pk)
    let_time_pass(review, 3)
    reviews.claim(review.pk, olga.pk)
    review.refresh_from_db()
    assert review.claimed_by == olga


def test_a_claim_that_is_renewed_lasts_and_began_when_it_did(otto):
    review = ReviewFactory()
    reviews.claim(review.pk, otto.pk)
    let_time_pass(review, 1)
    review.refresh_from_db()
    since = review.claimed_at
    reviews.claim(review.pk, otto.pk)
    review.refresh_from_db()
    assert review.claimed_at == since
    assert review.claimed_until > timezone.now() + timedelta(minutes=1)


def test_a_claim_that_was_over_begins_anew(otto):
    review = ReviewFactory()
    reviews.claim(review.pk, otto.pk)
    let_time_pass(review, 60)
    reviews.claim(review.pk, otto.pk)
    review.refresh_from_db()
    assert review.claimed_at > timezone.now() - timedelta(minutes=1)


def test_a_claim_is_taken_from_somebody_only_if_that_is_meant(olga, otto):
    review = ReviewFactory()
    reviews.claim(review.pk, otto.pk)
    with pytest.raises(ClaimedElsewhere):
        reviews.claim(review.pk, olga.pk)
    reviews.claim(review.pk, olga.pk, take=True)
    review.refresh_from_db()
    assert review.claimed_by == olga
    with pytest.raises(ClaimedElsewhere, match="olga"):
        decide(review.pk, REJECTED, user_id=otto.pk)


def test_who_leaves_a_page_gives_up_their_own_claim_and_no_other(olga, otto):
    review = ReviewFactory()
    reviews.claim(review.pk, otto.pk)
    reviews.release(review.pk, olga.pk)
    review.refresh_from_db()
    assert review.claimed_by == otto
    reviews.release(review.pk, otto.pk)
    review.refresh_from_db()
    assert (review.claimed_by, review.claimed_at, review.claimed_until) == (None, None, None)


def test_what_is_decided_is_nobodys_and_cannot_be_claimed(olga, otto):
    review = ReviewFactory()
    reviews.claim(review.pk, otto.pk)
    decide(review.pk, REJECTED, user_id=otto.pk)
    review.refresh_from_db()
    assert review.claimed_by is None
    with pytest.raises(AlreadyDecided, match="rejected already by otto"):
        reviews.claim(review.pk, olga.pk, take=True)


# --- later ------------------------------------------------------------------------------------


def test_what_is_snoozed_does_not_wait_until_then(olga):
    later, now = ReviewFactory.create_batch(2)
    reviews.snooze(later.pk, timezone.now() + timedelta(hours=1), olga.pk)
    assert list(reviews.waiting()) == [now]
    later.refresh_from_db()
    assert later.snoozed_by == olga
    reviews.snooze(later.pk, timezone.now() - timedelta(seconds=1), olga.pk)
    assert set(reviews.waiting()) == {now, later}


def test_what_is_snoozed_can_be_had_back_and_decided(olga):
    first, second = ReviewFactory.create_batch(2)
    for review in (first, second):
        reviews.snooze(review.pk, timezone.now() + timedelta(hours=1), olga.pk)
    reviews.snooze(first.pk, None, olga.pk)
    assert list(reviews.waiting()) == [first]
    assert decide(second.pk, REJECTED, user_id=olga.pk).is_new
    second.refresh_from_db()
    assert (second.snoozed_until, second.snoozed_by) == (None, None)


def test_what_somebody_else_has_open_is_not_snoozed_away(olga, otto):
    review = ReviewFactory()
    reviews.claim(review.pk, otto.pk)
    with pytest.raises(ClaimedElsewhere):
        reviews.snooze(review.pk, timezone.now() + timedelta(hours=1), olga.pk)
    reviews.snooze(review.pk, timezone.now() + timedelta(hours=1), otto.pk)
    review.refresh_from_db()
    assert review.claimed_by is None  # nobody is at it any more


def test_what_is_decided_is_not_snoozed(olga):
    review = ReviewFactory()
    decide(review.pk, REJECTED, user_id=olga.pk)
    with pytest.raises(AlreadyDecided):
        reviews.snooze(review.pk, timezone.now() + timedelta(hours=1), olga.pk)
