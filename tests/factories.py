"""Rows for tests: each factory makes what it needs around it."""

from datetime import timedelta

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from comments.models import Comment, Monitor
from dmtrigger.models import Account, Campaign, DirectMessage, Variant
from intents.models import (
    AnalysisFailure,
    Band,
    Hold,
    IntentResult,
    Label,
    Review,
    Sentiment,
)
from threadsagent.models import User


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence("user{}".format)


class CommentFactory(DjangoModelFactory[Comment]):
    class Meta:
        model = Comment

    source = "fake_platform"
    external_id = factory.Sequence("c{}".format)
    post_id = "post-1"
    text = "Where can I buy this?"
    author = "ada"
    author_followers = None
    author_verified = False
    posted_at = factory.LazyFunction(timezone.now)


class MonitorFactory(DjangoModelFactory[Monitor]):
    class Meta:
        model = Monitor

    source = "fake_platform"
    post_id = "post-1"


class IntentResultFactory(DjangoModelFactory[IntentResult]):
    class Meta:
        model = IntentResult

    comment = factory.SubFactory(CommentFactory)
    label = Label.PURCHASE_INTENT
    score = 85
    confidence = 0.85
    band = Band.IMMEDIATE_DM
    model_version = "test"
    hold = Hold.NONE
    language = ""
    sentiment = Sentiment.NEUTRAL
    mentions_brand = False


class AnalysisFailureFactory(DjangoModelFactory[AnalysisFailure]):
    """Parked, unless a time to try again is given."""

    class Meta:
        model = AnalysisFailure

    comment_id = factory.LazyFunction(lambda: CommentFactory(analyzed_at=timezone.now()).pk)
    attempts = 4
    reason = "ValueError: poison"


class ReviewFactory(DjangoModelFactory[Review]):
    class Meta:
        model = Review

    intent = factory.SubFactory(IntentResultFactory)


class CampaignFactory(DjangoModelFactory[Campaign]):
    class Meta:
        model = Campaign

    name = factory.Sequence("campaign {}".format)
    link = "https://shop.example/backpack"
    variant = factory.RelatedFactory("tests.factories.VariantFactory", "campaign")


class VariantFactory(DjangoModelFactory[Variant]):
    class Meta:
        model = Variant

    campaign = factory.SubFactory(CampaignFactory, variant=None)
    name = "A"
    template = "Hi {{ author }}: {{ link }} (automated)"


class AccountFactory(DjangoModelFactory[Account]):
    class Meta:
        model = Account
        django_get_or_create = ("source", "name")

    source = "fake_platform"
    name = ""


class DirectMessageFactory(DjangoModelFactory[DirectMessage]):
    class Meta:
        model = DirectMessage

    review = factory.SubFactory(ReviewFactory)
    comment_id = factory.SelfAttribute("review.intent.comment_id")
    external_id = factory.SelfAttribute("review.intent.comment.external_id")
    post_id = factory.SelfAttribute("review.intent.comment.post_id")
    posted_at = factory.SelfAttribute("review.intent.comment.posted_at")
    source = factory.SelfAttribute("review.intent.comment.source")
    reason = "purchase_intent 85 (test), approved by olga"
    account = factory.SubFactory(AccountFactory)
    campaign = factory.SubFactory(CampaignFactory)
    sender = "fake_platform"
    recipient = factory.SelfAttribute("review.intent.comment.author")
    expires_at = factory.LazyAttribute(lambda message: message.posted_at + timedelta(days=7))
    text = "Hi ada"
    next_attempt_at = factory.LazyFunction(timezone.now)
