"""What comes first of what waits, until when it may be put off, and what a row says."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from dmtrigger import people, review_queue
from dmtrigger.campaigns import active_campaigns
from dmtrigger.models import Person
from dmtrigger.review_queue import Snooze
from intents.models import Review
from tests.factories import (
    AccountFactory,
    CampaignFactory,
    DirectMessageFactory,
    ReviewFactory,
)

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def review_of(days_ago: float, band: str = "immediate_dm") -> Review:
    posted_at = timezone.now() - days_ago * DAY
    return ReviewFactory(intent__comment__posted_at=posted_at, intent__band=band)


def test_the_likely_come_first_soonest_to_expire_and_what_has_expired_last():
    expired = review_of(8)
    unlikely, unlikely_and_urgent = review_of(1, "nurture"), review_of(6.9, "nurture")
    likely, likely_and_urgent = review_of(1), review_of(6)
    assert list(Review.objects.order_by(*review_queue.by_urgency())) == [
        likely_and_urgent,
        likely,
        unlikely_and_urgent,
        unlikely,
        expired,
    ]


@pytest.mark.parametrize("source", ["fake_platform", "elsewhere"])
def test_a_comment_can_be_answered_for_seven_days(source):
    comment = ReviewFactory(intent__comment__source=source).intent.comment
    assert review_queue.closes_at(comment) == comment.posted_at + 7 * DAY


@pytest.mark.parametrize(
    ("snooze", "until"),
    [
        (Snooze.HOUR, datetime(2026, 3, 1, 23, 30, tzinfo=UTC)),
        (Snooze.TOMORROW, datetime(2026, 3, 2, 9, 0, tzinfo=UTC)),
        (Snooze.DAYS, datetime(2026, 3, 4, 22, 30, tzinfo=UTC)),
    ],
)
def test_a_review_is_put_off_until_a_moment_that_people_mean(snooze, until):
    assert snooze.until(datetime(2026, 3, 1, 22, 30, tzinfo=UTC)) == until


def test_tomorrow_is_that_of_the_servers_zone():
    at_home = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)  # the second of March in Berlin
    with timezone.override("Europe/Berlin"):
        assert Snooze.TOMORROW.until(at_home) == datetime(2026, 3, 3, 8, 0, tzinfo=UTC)


def row_of(review: Review) -> review_queue.Row:
    return review_queue.rows([review], active_campaigns())[review.pk]


def test_a_row_has_the_message_and_nothing_against_it():
    CampaignFactory()
    row = row_of(ReviewFactory())
    assert row.message.startswith("Hi ada: http")
    assert (row.problem, row.person, row.sent, row.last_sent_at) == ("", None, 0, None)


def test_a_row_says_why_there_is_no_message():
    assert "add one first" in row_of(ReviewFactory()).problem


def test_a_row_knows_what_its_author_got_and_wants():
    campaign = CampaignFactory()
    now = timezone.now()
    for days in (40, 30):
        DirectMessageFactory(campaign=campaign, state="sent", sent_at=now - days * DAY)
    DirectMessageFactory(campaign=campaign, recipient="bea", state="sent", sent_at=now)
    people.opt_out("fake_platform", "ada", Person.By.LINK)
    row = row_of(ReviewFactory())
    assert (row.sent, row.last_sent_at) == (2, now - 30 * DAY)
    assert row.person == Person.objects.get()
    assert row.problem == "ada wants no messages"


@pytest.mark.parametrize("state", ["sent", "pending"])
def test_a_row_says_that_its_author_was_written_to_a_short_while_ago(state):
    campaign = CampaignFactory()
    DirectMessageFactory(
        campaign=campaign, state=state, sent_at=timezone.now() if state == "sent" else None
    )
    assert "a message to ada" in row_of(ReviewFactory()).problem


def test_a_row_says_that_the_author_is_the_brand_itself():
    CampaignFactory()
    AccountFactory(usernames="ada")
    assert row_of(ReviewFactory()).problem == "ada is the account itself"


def test_what_an_operator_may_set_aside_is_no_problem():
    CampaignFactory()
    assert row_of(review_of(3)).problem == ""


def test_a_page_of_rows_takes_as_many_queries_as_one(django_assert_num_queries):
    CampaignFactory()
    some = [ReviewFactory(intent__comment__author=f"buyer {n}") for n in range(20)]
    among = active_campaigns()
    with django_assert_num_queries(3):
        review_queue.rows(some, among)
