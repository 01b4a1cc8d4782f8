"""What a campaign would have sent: the same rules as in earnest, and nothing is written."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from comments.partitions import id_at
from dmtrigger import dry_run, people
from dmtrigger.dry_run import Would
from dmtrigger.models import Account, Campaign, DirectMessage, Person
from intents.models import Hold, IntentResult, Review
from intents.reviews import decide
from tests.factories import (
    CampaignFactory,
    DirectMessageFactory,
    IntentResultFactory,
    ReviewFactory,
    UserFactory,
    VariantFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign(db) -> Campaign:
    return CampaignFactory(name="Launch", is_active=False, auto_threshold=80)


def flagged(author: str = "ada", **values) -> Review:
    """A flagged comment as of now."""
    return ReviewFactory(intent__comment__author=author, **values)


def lines_of(campaign: Campaign) -> list[tuple[str, Would]]:
    """Author and what would have become of it, oldest first."""
    report = dry_run.of_days(campaign, 7)
    return [(line.comment.author, line.would) for line in report.lines][::-1]


def test_the_campaigns_own_threshold_says_what_needs_an_operator(campaign):
    flagged("ada", intent__score=80)
    flagged("bea", intent__score=79)
    flagged("cyd", intent__score=79, intent__hold=Hold.LANGUAGE)
    flagged("dot", intent__score=95, intent__hold=Hold.MODEL_FAILED)
    assert lines_of(campaign) == [
        ("ada", Would.AUTOMATIC),
        ("bea", Would.REVIEW),
        ("cyd", Would.REVIEW),
        ("dot", Would.REVIEW),
    ]
    [line, *_] = dry_run.of_days(campaign, 7).lines[::-1]
    assert line.text.startswith("Hi ada: http")


def test_start_and_end_of_the_campaign_are_set_aside(campaign):
    Campaign.objects.update(starts_at=timezone.now() + timedelta(days=1))
    flagged()
    assert lines_of(campaign) == [("ada", Would.AUTOMATIC)]


def test_whom_the_campaign_does_not_mean_is_told_why(campaign):
    Campaign.objects.update(excluded_words="refund")
    flagged(intent__comment__text="where can I buy it, after the refund?")
    [line] = dry_run.of_days(campaign, 7).lines
    assert (line.would, line.reasons) == (
        Would.NOT_MEANT,
        ["the comment has the word “refund”"],
    )


def test_a_campaign_that_comes_first_answers_instead(campaign):
    first = CampaignFactory(name="First", priority=1)
    CampaignFactory(name="Last", priority=200)
    CampaignFactory(name="Off", priority=1, is_active=False)
    flagged()
    [line] = dry_run.of_days(campaign, 7).lines
    assert (line.would, line.answered_by, line.reasons) == (
        Would.OTHER,
        first,
        ["First comes first"],
    )


def test_what_the_policy_refuses_is_told_with_every_reason(campaign):
    people.block("fake_platform", "ada", "olga")
    people.opt_out("fake_platform", "ada", Person.By.LINK)
    flagged("ada")
    [line] = dry_run.of_days(campaign, 7).lines
    assert (line.would, line.reasons) == (
        Would.REFUSED,
        ["ada is blocked", "ada wants no messages"],
    )


def test_what_would_be_sent_counts_for_the_next_comment_of_the_person(campaign):
    flagged("ada")
    flagged("bea")
    flagged("ada")
    assert lines_of(campaign) == [
        ("ada", Would.AUTOMATIC),
        ("bea", Would.AUTOMATIC),
        ("ada", Would.REFUSED),
    ]


def test_what_an_operator_rejected_does_not_count_for_the_next(campaign):
    rejected = flagged("ada", intent__score=70)
    decide(rejected.pk, Review.Status.REJECTED, user_id=UserFactory().pk)
    flagged("ada")
    assert lines_of(campaign) == [("ada", Would.REVIEW), ("ada", Would.AUTOMATIC)]


def test_messages_of_before_count_and_those_to_the_same_comments_do_not(campaign):
    sent = {"state": "sent", "campaign": campaign, "next_attempt_at": None}
    answered = flagged("ada")
    DirectMessageFactory(review=answered, sent_at=timezone.now(), **sent)
    earlier = DirectMessageFactory(
        review=flagged("bea"), sent_at=timezone.now() - timedelta(hours=5), **sent
    )
    Review.objects.filter(pk=earlier.review_id).delete()  # so it is not looked at itself
    flagged("bea")
    assert lines_of(campaign) == [("ada", Would.AUTOMATIC), ("bea", Would.REFUSED)]


def test_a_comment_is_looked_at_as_of_when_it_was_flagged(campaign):
    then = timezone.now() - timedelta(days=4)
    review = flagged("ada", intent__comment__posted_at=then - timedelta(minutes=5))
    assert lines_of(campaign) == [("ada", Would.REVIEW)]  # four days are too old for no operator
    IntentResult.objects.filter(pk=review.intent_id).update(created_at=then)
    assert lines_of(campaign) == [("ada", Would.AUTOMATIC)]


def test_only_the_days_that_were_asked_for_are_looked_at(campaign, monkeypatch):
    review = flagged()
    eight_days_on = timezone.now() + timedelta(days=8)
    assert review.intent_id < id_at(eight_days_on - timedelta(days=7))
    monkeypatch.setattr("dmtrigger.dry_run.timezone.now", lambda: eight_days_on)
    assert dry_run.of_days(campaign, 7).lines == []
    assert len(dry_run.of_days(campaign, 9).lines) == 1


def test_a_campaign_without_words_could_send_nothing(campaign):
    campaign.variants.update(weight=0)
    flagged()
    [line] = dry_run.of_days(campaign, 7).lines
    assert line.would is Would.IMPOSSIBLE
    assert "add a variant with a weight" in line.reasons[0]


def test_of_many_comments_the_newest_are_looked_at_and_counted(campaign, monkeypatch):
    monkeypatch.setattr(dry_run, "MOST_COMMENTS", 2)
    for author in ("ada", "bea", "cyd"):
        flagged(author)
    report = dry_run.of_days(campaign, 7)
    assert [line.comment.author for line in report.lines] == ["cyd", "bea"]
    assert report.counts == [(Would.AUTOMATIC, 2)]
    assert report.is_cut


def test_a_hundred_comments_cost_as_many_queries_as_one(campaign):
    VariantFactory(campaign=campaign, name="B")
    flagged("ada")
    with CaptureQueriesContext(
        connection,
    ) as one:
        dry_run.of_days(campaign, 7)
    for number in range(20):
        flagged(f"buyer {number}")
    with CaptureQueriesContext(connection) as many:
        assert len(dry_run.of_days(campaign, 7).lines) == 21
    assert len(many) == len(one)


def test_nothing_is_written(campaign):
    flagged("ada", intent__comment__account="never heard of")
    with CaptureQueriesContext(connection) as queries:
        dry_run.of_days(campaign, 7)
    assert all(query["sql"].startswith("SELECT") for query in queries)
    assert not Account.objects.exists()
    assert not DirectMessage.objects.exists()


def test_a_comment_that_was_not_flagged_can_be_asked_for(campaign):
    intent = IntentResultFactory(score=40)
    [line] = dry_run.of_comment(campaign, intent.comment_id).lines
    assert (line.would, line.reasons) == (
        Would.NOT_FLAGGED,
        ["nobody was asked, for its score 40"],
    )


# --- the command ------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("dry_run", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_says_what_would_be_sent_and_counts_it(campaign):
    flagged("ada", intent__comment__text="price?\x1b[2J")
    people.block("fake_platform", "bea", "olga")
    flagged("bea")
    out, err = run("--campaign", "Launch")
    assert "bea: Where can I buy this?\n    refused by the policy: bea is blocked" in out
    assert "\x1b" not in out
    assert err.split("\n")[:2] == [
        "     1 sent without an operator",
        "     1 refused by the policy",
    ]


def test_the_command_speaks_json(campaign):
    review = flagged("ada")
    out, _err = run("--campaign", "Launch", "--comment", str(review.intent_id), "--json")
    said = json.loads(out)
    assert (said["comment"], said["would"], said["was"]) == (
        review.intent_id,
        "automatic",
        "Pending",
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--campaign", "Nope"], "no campaign Nope"),
        (["--campaign", "Launch", "--comment", "1"], "not there, or not analysed"),
        (["--campaign", "Launch", "--days", "0"], "between 1 and 30"),
    ],
)
def test_the_command_says_what_is_wrong(campaign, arguments, problem):
    with pytest.raises(CommandError, match=problem):
        run(*arguments)
