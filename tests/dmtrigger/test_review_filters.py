"""What the list of reviews can be narrowed to."""

from datetime import timedelta

import pytest
from django.utils import timezone

from intents import reviews
from intents.models import Review
from tests.factories import AccountFactory, CampaignFactory, ReviewFactory, UserFactory

pytestmark = pytest.mark.django_db
LIST = "/admin/intents/review/"


@pytest.fixture
def console(client, operator):
    client.force_login(operator)
    return client


def shown(console, **filters: object) -> set[Review]:
    return set(console.get(LIST, filters).context["cl"].queryset)


def test_by_who_has_it_open(console, operator):
    mine, others, nobodys, long_ago = ReviewFactory.create_batch(4)
    reviews.claim(mine.pk, operator.pk)
    reviews.claim(others.pk, UserFactory().pk)
    reviews.claim(long_ago.pk, UserFactory().pk)
    Review.objects.filter(pk=long_ago.pk).update(claimed_until=timezone.now())
    assert shown(console, assignee="mine") == {mine}
    assert shown(console, assignee="others") == {others}
    assert shown(console, assignee="nobody") == {nobodys, long_ago}


def test_what_is_snoozed_is_only_where_it_is_asked_for(console, operator):
    snoozed, waits = ReviewFactory.create_batch(2)
    reviews.snooze(snoozed.pk, timezone.now() + timedelta(hours=1), operator.pk)
    assert shown(console) == {waits}
    assert shown(console, status="snoozed") == {snoozed}
    assert "by olga" in console.get(LIST, {"status": "snoozed"}).content.decode()


def test_by_campaign_as_far_as_the_database_can_tell(console):
    account = AccountFactory(name="acme")
    one = CampaignFactory(post_id="p1", account=account, min_score=70)
    right = {"post_id": "p1", "account": "acme"}
    meant = ReviewFactory(intent__score=70, **of_comment(right))
    ReviewFactory(intent__score=69, **of_comment(right))
    ReviewFactory(intent__score=70, **of_comment(right | {"post_id": "p2"}))
    ReviewFactory(intent__score=70, **of_comment(right | {"account": "other"}))
    assert shown(console, campaign=one.pk) == {meant}
    assert len(shown(console, campaign=CampaignFactory().pk)) == 4
    assert shown(console, campaign=0) == set()


def of_comment(facts: dict[str, str]) -> dict[str, str]:
    return {f"intent__comment__{name}": value for name, value in facts.items()}


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("intent__comment__post_id", "p1", {"post": "p1"}),
        ("intent__comment__account", "acme", {"account": "fake_platform:acme"}),
        ("intent__language", "tgl", {"language": "tgl"}),
    ],
)
def test_by_what_the_waiting_reviews_are_of(console, field, value, wanted):
    one, _other = ReviewFactory(**{field: value}), ReviewFactory()
    assert shown(console, **wanted) == {one}
    assert value in console.get(LIST).content.decode()  # is offered


def test_by_the_account_without_a_name_and_no_language(console):
    one = ReviewFactory()
    ReviewFactory(intent__comment__account="acme", intent__language="tgl")
    assert shown(console, account="fake_platform:") == {one}
    assert shown(console, language="none") == {one}


@pytest.mark.parametrize(
    ("age", "hours"), [("hour", 0.5), ("day", 5), ("days", 30), ("older", 100)]
)
def test_by_age(console, age, hours):
    by_hours = {
        each: ReviewFactory(intent__comment__posted_at=timezone.now() - timedelta(hours=each))
        for each in (0.5, 5, 30, 100)
    }
    assert shown(console, age=age) == {by_hours[hours]}


@pytest.mark.parametrize("name", ["age", "campaign"])
def test_a_choice_that_there_is_not_shows_nothing(console, name):
    CampaignFactory()
    ReviewFactory()
    assert shown(console, **{name: "x"}) == set()


def test_what_is_decided_is_not_looked_through_for_them(console, operator):
    review = ReviewFactory(intent__comment__post_id="p1")
    reviews.decide(review.pk, Review.Status.REJECTED, user_id=operator.pk)
    html = console.get(LIST, {"status": "all"}).content.decode()
    assert "By post" not in html
    assert "By assignee" not in html
