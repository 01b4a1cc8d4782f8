"""From a flagged intent, or an approval, to the message in the outbox."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from dmtrigger import outbox, triggers
from dmtrigger.campaigns import active_campaigns, campaign_for, draft
from dmtrigger.links import short_link
from dmtrigger.models import Campaign, DirectMessage, Variant
from dmtrigger.models.campaigns import DEFAULT_TEMPLATE
from intents.models import Review
from intents.reviews import CannotApprove, decide, flag
from tests.factories import (
    CampaignFactory,
    IntentResultFactory,
    ReviewFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def answering(post_id: str) -> Campaign | None:
    return campaign_for(
        IntentResultFactory(comment__post_id=post_id), timezone.now(), active_campaigns()
    )


def approve(review: Review) -> None:
    decide(review.pk, Review.Status.APPROVED, user_id=UserFactory().pk)


def test_an_approval_puts_the_rendered_message_into_the_outbox(operator):
    campaign = CampaignFactory(variant__template="Hi {{ author }}, see {{ link }} (automated)")
    review = ReviewFactory(intent__comment__author="grace")
    decide(review.pk, Review.Status.APPROVED, user_id=operator.pk)
    message = DirectMessage.objects.get()
    comment = review.intent.comment
    assert (message.review, message.campaign, message.recipient) == (review, campaign, "grace")
    assert (message.comment_id, message.external_id) == (comment.pk, comment.external_id)
    assert message.reason == "purchase_intent 85 (test), approved by olga"
    assert message.text == f"Hi grace, see {short_link(comment.pk)} (automated)"
    assert message.link == "https://shop.example/backpack"
    assert message.state == "pending"


def edit(review: Review, operator: Any, text: str) -> None:
    decide(review.pk, Review.Status.APPROVED, user_id=operator.pk, told={"edited": text})


def test_what_an_operator_wrote_is_sent_and_the_history_says_so(operator):
    CampaignFactory()
    review = ReviewFactory()
    text = f"It is back! {short_link(review.intent.comment_id)} (automated)"
    edit(review, operator, text)
    message = DirectMessage.objects.get()
    assert message.text == text
    assert message.reason == "purchase_intent 85 (test), approved by olga, who edited the text"
    event = message.events.get()
    assert (event.detail, event.by) == (message.reason, "olga")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{link}, from a person", "the message has none of: automated"),
        ("{link} automated " + "x" * 1000, "the platform takes 1000"),
        ("automated", "must stay in it"),
        ("{link} automated, or https://evil.example", "is a link that was not in it"),
        ("", "the message is empty"),
    ],
)
def test_what_an_operator_wrote_must_be_what_a_message_may_be(operator, text, problem):
    CampaignFactory()
    review = ReviewFactory()
    with pytest.raises(CannotApprove, match=problem):
        edit(review, operator, text.format(link=short_link(review.intent.comment_id)))
    review.refresh_from_db()
    assert review.status == Review.Status.PENDING
    assert not DirectMessage.objects.exists()


def test_many_approvals_in_a_transaction_wake_the_delivery_once(
    monkeypatch, django_capture_on_commit_callbacks
):
    woken = []
    monkeypatch.setattr(triggers, "wake_unless_woken", lambda task: woken.append(task.name))
    CampaignFactory(auto_threshold=80)
    flagged: list[Any] = [
        ReviewFactory(intent__score=85, intent__comment__author=f"buyer {n}") for n in range(3)
    ]
    with django_capture_on_commit_callbacks(execute=True):
        triggers.approve_by_rule(flagged)
    assert DirectMessage.objects.count() == 3
    assert woken == ["deliver_direct_messages"]


def test_an_approval_wakes_the_delivery(monkeypatch, django_capture_on_commit_callbacks):
    woken = []
    monkeypatch.setattr(
        triggers, "wake", lambda task, seconds: woken.append((task.name, seconds > 9))
    )
    CampaignFactory()
    with django_capture_on_commit_callbacks(execute=True):
        approve(ReviewFactory())
    assert woken == [("deliver_direct_messages", True)]


def test_approving_twice_makes_one_message():
    CampaignFactory()
    review = ReviewFactory()
    approve(review)
    approve(review)
    assert DirectMessage.objects.count() == 1


def test_a_rejection_makes_none():
    CampaignFactory()
    decide(ReviewFactory().pk, Review.Status.REJECTED, user_id=UserFactory().pk)
    assert not DirectMessage.objects.exists()


def test_a_message_that_cannot_be_stored_takes_the_approval_back(monkeypatch):
    CampaignFactory()
    review = ReviewFactory()
    monkeypatch.setattr(outbox, "enqueue", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        approve(review)
    review.refresh_from_db()
    assert review.status == Review.Status.PENDING


@pytest.mark.parametrize(("score", "approved"), [(90, True), (89, False)])
def test_a_campaign_approves_by_itself_from_its_threshold_on(score, approved):
    campaign = CampaignFactory(auto_threshold=90)
    flag([IntentResultFactory(score=score)])
    review = Review.objects.get()
    assert (review.status == Review.Status.APPROVED) is approved
    assert DirectMessage.objects.exists() is approved
    rule = f"campaign {campaign}: score 90 from 90 on" if approved else ""
    assert (review.decided_by_rule, review.decided_by) == (rule, None)


@pytest.mark.parametrize("hold", ["language", "model_failed"])
def test_no_campaign_approves_what_is_held(hold):
    CampaignFactory(auto_threshold=60)
    flag([IntentResultFactory(score=100, hold=hold)])
    assert Review.objects.get().status == Review.Status.PENDING
    assert not DirectMessage.objects.exists()


def test_an_operator_may_approve_what_is_held(operator):
    CampaignFactory()
    review = ReviewFactory(intent__hold="language")
    decide(review.pk, Review.Status.APPROVED, user_id=operator.pk)
    assert DirectMessage.objects.exists()


def test_without_a_threshold_everything_waits_for_an_operator():
    CampaignFactory(auto_threshold=None)
    flag([IntentResultFactory(score=100)])
    assert Review.objects.get().status == Review.Status.PENDING


def test_a_message_that_does_not_render_is_left_to_an_operator_and_stops_nobody_else():
    CampaignFactory(auto_threshold=60, post_id="bad", variant__template="{{ price }}")
    CampaignFactory(auto_threshold=60, post_id="good")
    flag([IntentResultFactory(comment__post_id=post_id) for post_id in ("bad", "good")])
    statuses = dict(Review.objects.values_list("intent__comment__post_id", "status"))
    assert statuses == {"bad": "pending", "good": "approved"}


def test_a_campaign_for_the_post_comes_before_one_for_all_posts():
    everywhere = CampaignFactory()
    here = CampaignFactory(post_id="p1")
    CampaignFactory(post_id="p1", is_active=False)
    assert answering("p1") == here
    assert answering("p2") == everywhere


def test_of_two_campaigns_for_a_post_the_older_answers():
    older, _newer = CampaignFactory.create_batch(2)
    assert answering("p1") == older


def test_a_comment_is_answered_on_its_own_platform_or_not_at_all():
    CampaignFactory()
    with pytest.raises(
        CannotApprove, match="nothing can send a direct_message to comments of instagram"
    ):
        draft(IntentResultFactory(comment__source="instagram"))
    review = ReviewFactory(intent__comment__source="fake_platform")
    approve(review)
    assert DirectMessage.objects.get().sender == "fake_platform"


def test_a_draft_says_what_is_missing():
    with pytest.raises(CannotApprove, match="no active campaign answers this comment under p1"):
        draft(IntentResultFactory(comment__post_id="p1"))
    CampaignFactory(variant__template="{{ price }}")
    with pytest.raises(CannotApprove, match="price is no variable"):
        draft(IntentResultFactory())


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"auto_threshold": 101}, "auto_threshold"),
        ({"auto_threshold": 59}, "auto_threshold"),
    ],
)
def test_a_campaign_that_could_not_work_is_not_saved(fields, field):
    campaign = Campaign(name="c", link="https://shop.example", **fields)
    with pytest.raises(ValidationError) as error:
        campaign.full_clean()
    assert list(error.value.message_dict) == [field]


def test_the_default_template_works_and_says_that_it_is_automated():
    Variant(template=DEFAULT_TEMPLATE).clean()
    assert "automated" in DEFAULT_TEMPLATE
