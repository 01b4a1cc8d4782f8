"""The dashboard's figures, counted again by hand."""

from datetime import UTC, datetime, timedelta
from unittest import mock
from uuid import uuid4

import pytest
from django.utils import timezone

from comments import partitions
from comments.partitions import id_at
from dmtrigger import dashboard
from dmtrigger.dashboard import SPANS, Ranking, Span, What
from dmtrigger.models import Click, WebhookEndpoint
from dmtrigger.states import State
from intents.models import Review
from tests.factories import (
    AccountFactory,
    AnalysisFailureFactory,
    CommentFactory,
    DirectMessageFactory,
    ReviewFactory,
)

pytestmark = pytest.mark.django_db
DAY = SPANS["24h"]


@pytest.fixture
def past_days() -> None:
    """Comments of the last days can be stored."""
    first = partitions.today() - timedelta(days=8)
    with mock.patch.object(partitions, "today", return_value=first):
        partitions.ensure_partitions()


def count(span: Span = DAY) -> dashboard.Figures:
    return dashboard.count(span, span.period(timezone.now()))


def hours_ago(hours: float) -> int:
    """An id that was given out then."""
    return id_at(timezone.now() - timedelta(hours=hours))


# Periods ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "since", "until"),
    [
        ("24h", datetime(2026, 2, 28, 15, tzinfo=UTC), datetime(2026, 3, 1, 15, tzinfo=UTC)),
        ("7d", datetime(2026, 2, 23, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        ("30d", datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
    ],
)
def test_a_period_is_whole_hours_or_days_with_the_one_that_goes_on(key, since, until):
    now = datetime(2026, 3, 1, 14, 59, 59, tzinfo=UTC)
    assert SPANS[key].period(now) == (since, until)


def test_a_new_hour_begins_with_its_first_second():
    hour = datetime(2026, 3, 1, 15, tzinfo=UTC)
    assert DAY.period(hour).until == hour + timedelta(hours=1)


# Of a period ------------------------------------------------------------------------------------


def test_comments_are_counted_in_the_hour_in_which_they_came_in(past_days):
    for number, hours in enumerate((0, 0, 3, 23, 24)):
        CommentFactory(id=hours_ago(hours) + number)
    found = count()
    comments = [row.comments for row in found.rows]
    assert len(comments) == 24
    assert (comments[-1], comments[-4], comments[0]) == (2, 1, 1)
    assert found.total.comments == sum(n or 0 for n in comments) == 4


def test_over_days_they_are_counted_by_day(past_days):
    for days in (0, 1, 6, 7):
        CommentFactory(id=hours_ago(24 * days))
    assert [row.comments for row in count(SPANS["7d"]).rows] == [1, 0, 0, 0, 0, 1, 1]
    assert count(SPANS["30d"]).total.comments == 4


def test_clicks_are_those_of_people_and_counted_each():
    message = DirectMessageFactory(state=State.SENT)
    for is_bot in (False, False, True):
        Click.objects.create(message=message, token=uuid4(), at=timezone.now(), is_bot=is_bot)
    found = count()
    assert found.clicks[-1] == sum(found.clicks) == 2
    assert found.total.clicked == 1


def test_messages_are_counted_by_their_state():
    for state in (State.SENT, State.SENT, State.PENDING, State.UNKNOWN, State.FAILED):
        DirectMessageFactory(state=state)
    total = count().total
    assert total.sent == 2
    assert total.states == {"sent": 2, "pending": 1, "unknown": 1, "failed": 1}


def test_posts_and_people_are_ranked_by_comments(past_days):
    for number, (post, author) in enumerate(
        [("p1", "ada"), ("p1", "ada"), ("p1", "bob"), ("p2", "ada"), ("p3", "bob")]
    ):
        CommentFactory(post_id=post, author=author, id=hours_ago(0) + number)
    CommentFactory(post_id="p4", id=hours_ago(30))
    tops = count().tops
    assert tops[Ranking.POSTS] == [("p1", 3), ("p2", 1), ("p3", 1)]
    assert tops[Ranking.COMMENTERS] == [("ada", 3), ("bob", 2)]
    assert tops[Ranking.POSTS_WITH_INTENTS] == []


def test_posts_are_ranked_by_intents_whatever_was_decided_of_them():
    ReviewFactory(intent__comment__post_id="p1")
    for status in (Review.Status.REJECTED, Review.Status.APPROVED):
        ReviewFactory(
            intent__comment__post_id="p2",
            status=status,
            decided_at=timezone.now(),
            decided_by_rule="a rule",
        )
    CommentFactory.create_batch(3, post_id="p1")
    tops = count().tops
    assert tops[Ranking.POSTS_WITH_INTENTS] == [("p2", 2), ("p1", 1)]
    assert tops[Ranking.POSTS] == [("p1", 4), ("p2", 2)]


def test_only_the_first_are_named():
    for number in range(dashboard.MOST + 2):
        CommentFactory(post_id=f"p{number}")
    assert len(count().tops[Ranking.POSTS]) == dashboard.MOST


def test_of_very_many_comments_the_newest_hours_are_ranked(past_days, monkeypatch):
    monkeypatch.setattr(dashboard, "MOST_RANKED", 3)
    for number, hours in enumerate((0, 0, 2, 5, 5)):
        CommentFactory(post_id=f"hour-{hours}", id=hours_ago(hours) + number)
    found = count()
    assert found.ranked == (found.period.until - timedelta(hours=5), found.period.until)
    assert found.tops[Ranking.POSTS] == [("hour-0", 2), ("hour-2", 1)]
    monkeypatch.setattr(dashboard, "MOST_RANKED", 5)
    assert count().ranked == found.period


def test_of_an_empty_system_all_figures_are_0():
    found = count(SPANS["30d"])
    assert (found.total.comments, found.total.flagged, found.total.sent) == (0, 0, 0)
    assert (sum(found.clicks), found.judged, found.total.revenue) == (0, (0, 0), {})
    assert not any(found.tops.values())


# Kept -------------------------------------------------------------------------------------------


def test_figures_are_kept_for_some_seconds_for_each_period(django_assert_num_queries):
    CommentFactory()
    first = dashboard.figures(DAY)
    CommentFactory()
    with django_assert_num_queries(0):
        assert dashboard.figures(DAY) == first
    assert dashboard.figures(SPANS["7d"]).total.comments == 2


def test_without_the_cache_they_are_counted_each_time(no_redis):
    CommentFactory()
    assert dashboard.figures(DAY).total.comments == 1
    CommentFactory()
    assert dashboard.figures(DAY).total.comments == 2


# At this moment ---------------------------------------------------------------------------------


def test_what_waits_is_counted_with_the_oldest(django_assert_num_queries):
    now = timezone.now()
    for minutes in (1, 5, 3):
        CommentFactory(created_at=now - timedelta(minutes=minutes))
    CommentFactory(analyzed_at=now)
    ReviewFactory(flagged_at=now - timedelta(hours=2), intent__comment__analyzed_at=now)
    ReviewFactory(flagged_at=now - timedelta(hours=1), intent__comment__analyzed_at=now)
    with django_assert_num_queries(1):
        found = dashboard.waiting([What.COMMENTS, What.REVIEWS])
    assert found == {
        What.COMMENTS: (3, now - timedelta(minutes=5)),
        What.REVIEWS: (2, now - timedelta(hours=2)),
    }


def test_what_is_not_asked_for_is_not_looked_up(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert dashboard.waiting([]) == {}
    assert list(dashboard.waiting([What.OFF])) == [What.OFF]


def number_of(what: What) -> int:
    return dashboard.waiting([what])[what].number


def test_a_review_closes_soon_within_a_day_of_its_platforms_window():
    now = timezone.now()
    for days in (0, 5.9, 6.1, 6.9, 7.1):  # the window is 7 days
        ReviewFactory(intent__comment__posted_at=now - timedelta(days=days))
    ReviewFactory(
        intent__comment__posted_at=now - timedelta(days=6.5),
        status=Review.Status.REJECTED,
        decided_at=now,
        decided_by_rule="a rule",
    )
    assert number_of(What.CLOSING) == 2


def test_a_review_that_is_snoozed_does_not_wait():
    now = timezone.now()
    ReviewFactory(snoozed_until=now + timedelta(hours=1))
    ReviewFactory(
        snoozed_until=now + timedelta(hours=1),
        intent__comment__posted_at=now - timedelta(days=6.5),
    )
    ReviewFactory(snoozed_until=now - timedelta(hours=1))
    assert (number_of(What.REVIEWS), number_of(What.CLOSING)) == (1, 0)


def test_an_outcome_is_for_a_person_once_nothing_asks_for_it_any_more():
    DirectMessageFactory(state=State.UNKNOWN, next_attempt_at=None)
    DirectMessageFactory(state=State.UNKNOWN)
    DirectMessageFactory(state=State.FAILED, next_attempt_at=None)
    assert number_of(What.UNKNOWN) == 1


def test_a_failed_analysis_is_parked_when_it_has_no_time_to_be_tried_again():
    AnalysisFailureFactory()
    AnalysisFailureFactory(retry_at=timezone.now())
    assert number_of(What.PARKED) == 1


def test_an_endpoint_is_off_when_it_is_not_active():
    WebhookEndpoint.objects.create(name="shop", url="https://shop.example/hook", is_active=False)
    WebhookEndpoint.objects.create(name="crm", url="https://crm.example/hook")
    assert number_of(What.OFF) == 1


def test_accounts_that_are_paused_come_first(django_assert_num_queries):
    AccountFactory(name="a")
    AccountFactory(name="b", paused_until=timezone.now() + timedelta(hours=1))
    AccountFactory(name="c", paused_until=timezone.now() - timedelta(hours=1))
    with django_assert_num_queries(3):
        found = dashboard.health()
    assert [(each.account.name, each.is_paused) for each in found] == [
        ("b", True),
        ("a", False),
        ("c", False),
    ]
