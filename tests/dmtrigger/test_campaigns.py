"""Which campaign answers, in which words, and when."""

from collections import Counter
from datetime import time, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from dmtrigger import campaigns, outbox
from dmtrigger.models import Campaign, DirectMessage
from intents.models import Review
from intents.reviews import decide
from tests.factories import (
    AccountFactory,
    CampaignFactory,
    DirectMessageFactory,
    IntentResultFactory,
    ReviewFactory,
    UserFactory,
    VariantFactory,
)

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def objection(campaign: Campaign, **comment) -> str:
    score = comment.pop("score", 85)
    fields = {f"comment__{name}": value for name, value in comment.items()}
    intent = IntentResultFactory(score=score, **fields)
    return campaigns.objection(campaign, intent, timezone.now())


@pytest.mark.parametrize(
    ("campaign", "comment", "why_not"),
    [
        ({}, {}, ""),
        ({"is_active": False}, {}, "it is not active"),
        ({"starts_at": "later"}, {}, "it has not begun"),
        ({"starts_at": "earlier", "ends_at": "later"}, {}, ""),
        ({"ends_at": "earlier"}, {}, "it has ended"),
        ({"post_id": "p2"}, {}, "it is for the post p2"),
        ({"min_score": 86}, {}, "it answers scores from 86 on"),
        ({"min_score": 85}, {}, ""),
        ({"required_words": "price, how much"}, {"text": "Price?"}, ""),
        ({"required_words": "price, how much"}, {"text": "HOW MUCH is it"}, ""),
        (
            {"required_words": "price\nhow much"},
            {"text": "priceless"},
            "the comment has none of: price, how much",
        ),
        ({"excluded_words": "refund"}, {"text": "a Refund!"}, "the comment has the word “refund”"),
        ({"excluded_words": "refund"}, {"text": "refunds"}, ""),
        ({"required_words": "c++"}, {"text": "a c++ book?"}, ""),
    ],
)
def test_a_campaign_says_why_it_does_not_answer(campaign, comment, why_not):
    moments = {"earlier": timezone.now() - HOUR, "later": timezone.now() + HOUR}
    fields = {name: moments.get(value, value) for name, value in campaign.items()}
    assert objection(CampaignFactory(**fields), **comment) == why_not


def test_a_campaign_of_an_account_answers_under_its_posts_only():
    campaign = CampaignFactory(account=AccountFactory(name="nordlicht"))
    assert objection(campaign, account="nordlicht") == ""
    assert objection(campaign, account="other").startswith("it is for the account nordlicht")


def test_the_precedence_is_that_of_the_list():
    general = CampaignFactory()
    of_account = CampaignFactory(account=AccountFactory())
    of_post = CampaignFactory(post_id="post-1")
    first = CampaignFactory(priority=1)
    assert list(campaigns.in_order()) == [first, of_post, of_account, general]
    intent = IntentResultFactory()
    assert campaigns.campaign_for(intent, timezone.now(), campaigns.active_campaigns()) == first
    Campaign.objects.filter(pk=first.pk).update(is_active=False)
    assert campaigns.campaign_for(intent, timezone.now(), campaigns.active_campaigns()) == of_post


def test_variants_are_drawn_by_weight_and_stay_with_a_comment():
    campaign = CampaignFactory(variant__weight=3)
    VariantFactory(campaign=campaign, name="B", weight=1)
    VariantFactory(campaign=campaign, name="off", weight=0)
    drawn = Counter(str(campaigns.variant_for(campaign, number)) for number in range(4_000))
    assert set(drawn) == {"A", "B"}
    assert 2_850 < drawn["A"] < 3_150
    assert campaigns.variant_for(campaign, 7) == campaigns.variant_for(campaign, 7)


def test_the_link_says_where_a_visit_comes_from():
    CampaignFactory(
        link="https://shop.example/bag?colour=red",
        utm_source="instagram",
        utm_campaign="launch & more",
    )
    draft = campaigns.draft(IntentResultFactory())
    assert draft.link == (
        "https://shop.example/bag?colour=red"
        "&utm_source=instagram&utm_campaign=launch+%26+more&utm_content=A"
    )


def approved(**campaign) -> Any:
    CampaignFactory(**campaign)
    decide(ReviewFactory().pk, Review.Status.APPROVED, user_id=UserFactory().pk)
    return DirectMessage.objects.get()


def test_a_delay_is_waited_for():
    message = approved(delay_seconds=3_600)
    assert message.next_attempt_at - timezone.now() > timedelta(minutes=59)


def test_quiet_hours_are_kept_at_the_approval_and_at_the_sending():
    now = timezone.now()
    begin, end = (now - HOUR).time(), (now + HOUR).time()
    message = approved(quiet_from=begin, quiet_until=end)
    assert message.next_attempt_at > now + timedelta(minutes=59)
    DirectMessage.objects.update(next_attempt_at=now)  # it waited for something else until now
    assert outbox.deliver_next() is None
    message.refresh_from_db()
    assert message.state == "pending"
    assert message.next_attempt_at > now + timedelta(minutes=59)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"auto_threshold": 59}, "auto_threshold"),
        ({"min_score": 90, "auto_threshold": 80}, "auto_threshold"),
        ({"quiet_from": time(22)}, "quiet_until"),
        ({"quiet_from": time(22), "quiet_until": time(22)}, "quiet_until"),
        ({"channel": "webhook"}, "endpoint"),
        ({"time_zone": "Mars"}, "time_zone"),
        (
            {"starts_at": timezone.now(), "ends_at": timezone.now() - HOUR},
            "ends_at",
        ),
    ],
)
def test_what_could_not_work_is_an_error_of_its_field(fields, field):
    with pytest.raises(ValidationError) as error:
        Campaign(name="c", link="https://shop.example", **fields).full_clean()
    assert list(error.value.message_dict) == [field]


def test_a_campaign_whose_messages_went_out_stays():
    message = DirectMessageFactory()
    with pytest.raises(Exception, match="protected"):
        message.campaign.delete()
