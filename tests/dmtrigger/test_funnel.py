"""The funnel's figures, counted again by hand, and who may see them."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from comments.models import Comment
from comments.partitions import id_at
from dmtrigger import funnel
from dmtrigger.attribution_admin import bars, intervals
from dmtrigger.comparing import rate
from dmtrigger.funnel import By, Period, Row
from dmtrigger.models import Click, Conversion, DirectMessage
from dmtrigger.states import State
from intents.models import IntentResult, Review
from tests.factories import (
    AccountFactory,
    CommentFactory,
    DirectMessageFactory,
    IntentResultFactory,
    ReviewFactory,
    UserFactory,
    VariantFactory,
)

pytestmark = pytest.mark.django_db


@dataclass
class Made:
    """A comment and all that came of it, as a test has made it."""

    hour: int
    post: str
    model: str
    status: str  # "", or that of its review
    variant: int
    state: State
    clicks: list[bool]  # whether a bot
    sales: list[tuple[str, str]]  # value, currency


made_comments = st.builds(
    Made,
    hour=st.integers(0, 5),
    post=st.sampled_from(["p1", "p2"]),
    model=st.sampled_from(["m1", "m2"]),
    status=st.sampled_from(["", "pending", "rejected", "approved", "approved", "approved"]),
    variant=st.integers(0, 2),
    state=st.sampled_from([State.SENT, State.SENT, State.SENT, State.FAILED, State.UNKNOWN]),
    clicks=st.lists(st.booleans(), max_size=3),
    sales=st.lists(
        st.tuples(st.sampled_from(["1.50", "20"]), st.sampled_from(["EUR", "USD"])), max_size=2
    ),
)


@pytest.fixture
def variants() -> list[Any]:
    """Two of one campaign, one of another."""
    first = VariantFactory(name="A")
    return [first, VariantFactory(name="B", campaign=first.campaign), VariantFactory(name="A")]


@pytest.fixture
def now() -> datetime:
    return timezone.now().replace(microsecond=0)


def clear() -> None:
    for model in (Conversion, Click, DirectMessage):
        model.objects.all().delete()
    for big in (Review, IntentResult, Comment):
        big.objects.all()._raw_delete("default")


def make(number: int, made: Made, now: datetime, variants: list[Any]) -> None:
    at = now + timedelta(hours=made.hour)
    comment = CommentFactory(id=id_at(at) + number, post_id=made.post)
    intent = IntentResultFactory(comment=comment, model_version=made.model)
    if not made.status:
        return
    decided = {} if made.status == "pending" else {"decided_at": at, "decided_by_rule": "a rule"}
    review = ReviewFactory(intent=intent, status=made.status, **decided)
    if made.status != "approved":
        return
    variant = variants[made.variant]
    message = DirectMessageFactory(
        review=review,
        campaign=variant.campaign,
        variant=variant,
        state=made.state,
        model_version=made.model,
    )
    for is_bot in made.clicks:
        Click.objects.create(message=message, token=uuid4(), at=at, is_bot=is_bot)
    for place, (value, currency) in enumerate(made.sales):
        order = f"{number}-{place}"
        Conversion.objects.create(
            message=message, order_id=order, value=value, currency=currency, at=at
        )


def recount(comments: list[Made]) -> Row:
    """What `funnel` must say of these comments."""
    approved = [made for made in comments if made.status == "approved"]
    sent = [made for made in approved if made.state == State.SENT]
    revenue: Counter[str] = Counter()
    for made in sent:
        for value, currency in made.sales:
            revenue[currency] += Decimal(value)  # type: ignore[assignment]
    return Row(
        comments=len(comments),
        flagged=sum(bool(made.status) for made in comments),
        approved=len(approved),
        sent=len(sent),
        clicked=sum(not all(made.clicks) for made in sent),
        converted=sum(bool(made.sales) for made in sent),
        orders=sum(len(made.sales) for made in sent),
        revenue=dict(revenue),  # type: ignore[arg-type]
    )


def figures(row: Row, *names: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


HOUR = timedelta(hours=1)
STEPS = ("approved", "sent", "clicked", "converted", "orders", "revenue")


@hypothesis_settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    comments=st.lists(made_comments, min_size=4, max_size=14),
    since=st.integers(0, 2),
    length=st.integers(2, 6),
)
def test_every_figure_is_that_of_a_recount(now, variants, comments, since, length):
    clear()
    for number, made in enumerate(comments):
        make(number, made, now, variants)
    period = Period(now + timedelta(hours=since), now + timedelta(hours=since + length))
    within = [made for made in comments if since <= made.hour < since + length]
    assert funnel.report(period, By.CAMPAIGN).total == recount(within)
    hours = funnel.over_time(period, HOUR)
    for number, row in enumerate(hours):
        own = [made for made in comments if made.hour == since + number]
        check(row, recount(own), ("comments", "flagged", *STEPS))
        assert row.states == Counter(made.state for made in own if made.status == "approved")
    assert replace(funnel.together(hours), states=Counter()) == recount(within)
    by_campaign = {row.name: row for row in funnel.report(period, By.CAMPAIGN).groups}
    by_variant = {row.name: row for row in funnel.report(period, By.VARIANT).groups}
    for campaign in {variant.campaign for variant in variants}:
        own = [m for m in within if variants[m.variant].campaign == campaign]
        check(by_campaign.get(campaign.name), recount(own), STEPS)
    for number, variant in enumerate(variants):
        own = [made for made in within if made.variant == number]
        check(by_variant.get(f"{variant.campaign}: {variant}"), recount(own), STEPS)
    by_post = {row.name: row for row in funnel.report(period, By.POST).groups}
    for post in ("p1", "p2"):
        own = [made for made in within if made.post == post]
        if f"{post} (fake_platform)" in by_post:
            check(by_post[f"{post} (fake_platform)"], recount(own), ("comments", "flagged", *STEPS))
        else:
            assert not recount(own).approved
    by_model = {row.name: row for row in funnel.report(period, By.MODEL_VERSION).groups}
    for model in ("m1", "m2"):
        own = [made for made in within if made.model == model]
        check(by_model.get(model), recount(own), ("comments", "flagged", *STEPS))


def check(row: Row | None, expected: Row, names: tuple[str, ...]) -> None:
    """A group without anything need not be there."""
    assert figures(row or Row(comments=0, flagged=0, approved=0), *names) == figures(
        expected, *names
    )


def test_a_preview_is_no_click_and_a_person_is_one_however_often(now, variants):
    for number, clicks in enumerate([[True], [True, True], [False, False, True], []]):
        made = Made(0, "p1", "m1", "approved", 0, State.SENT, clicks, [])
        make(number, made, now, variants)
    total = funnel.report(Period(now, now + timedelta(hours=1)), By.CAMPAIGN).total
    assert (total.sent, total.clicked) == (4, 1)


def test_what_was_not_sent_was_neither_clicked_nor_bought(now, variants):
    made = Made(0, "p1", "m1", "approved", 0, State.FAILED, [False], [("20", "EUR")])
    make(0, made, now, variants)
    total = funnel.report(Period(now, now + timedelta(hours=1)), By.CAMPAIGN).total
    assert figures(total, *STEPS) == figures(Row(approved=1), *STEPS)


def test_periods_that_follow_each_other_leave_nothing_out_and_count_nothing_twice(now, variants):
    for number in range(6):
        make(
            number, Made(number, "p1", "m1", "approved", 0, State.SENT, [False], []), now, variants
        )
    ends = [now + timedelta(hours=hour) for hour in (0, 1, 3, 6)]
    parts = [funnel.report(Period(*p), By.CAMPAIGN).total for p in pairwise(ends)]
    assert [part.sent for part in parts] == [1, 2, 3]


def test_before_what_is_kept_only_messages_are_told(settings, now, variants):
    make(0, Made(0, "p1", "m1", "approved", 0, State.SENT, [False], []), now, variants)
    long_ago = Period(now - timedelta(days=settings.RETENTION_DAYS + 2), now + timedelta(hours=1))
    found = funnel.report(long_ago, By.POST)
    assert not found.is_kept
    assert (found.total.comments, found.total.flagged, found.total.approved) == (None, None, None)
    assert (found.total.sent, found.total.clicked) == (1, 1)
    [group] = found.groups
    assert (group.comments, group.flagged, group.approved, group.sent) == (None, None, None, 1)


def test_over_time_only_the_days_before_what_is_kept_are_untold(settings, now, variants):
    settings.RETENTION_DAYS = 8
    midnight = now.replace(hour=0, minute=0, second=0)
    make(0, Made(0, "p1", "m1", "approved", 0, State.SENT, [False], []), now, variants)
    period = Period(midnight - timedelta(days=9), midnight + timedelta(days=1))
    days = funnel.over_time(period, timedelta(days=1))
    assert [day.comments for day in days] == [None, *[0] * 8, 1]
    assert [day.sent for day in days] == [*[0] * 9, 1]
    total = funnel.together(days)
    assert (total.comments, total.flagged, total.approved) == (None, None, None)
    assert (total.sent, total.clicked) == (1, 1)


def test_of_many_groups_the_largest_are_told(now, variants, monkeypatch):
    monkeypatch.setattr(funnel, "MOST_GROUPS", 1)
    for number, post in enumerate(["p1", "p2", "p2"]):
        make(number, Made(0, post, "m1", "approved", 0, State.SENT, [], []), now, variants)
    found = funnel.report(Period(now, now + timedelta(hours=1)), By.POST)
    assert [(row.name, row.sent) for row in found.groups] == [("p2 (fake_platform)", 2)]
    assert found.total.sent == 3


def test_the_message_of_a_deleted_variant_still_counts(now, variants):
    make(0, Made(0, "p1", "m1", "approved", 0, State.SENT, [], []), now, variants)
    campaign = variants[0].campaign
    variants[0].delete()
    [row] = funnel.report(Period(now, now + timedelta(hours=1)), By.VARIANT).groups
    assert (row.name, row.sent) == (f"{campaign}: (deleted)", 1)


@pytest.mark.parametrize("by", By)
def test_the_number_of_queries_does_not_grow_with_the_rows(now, variants, by):
    period = Period(now, now + timedelta(hours=6))

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            funnel.report(period, by)
        return len(captured)

    make(0, Made(0, "p1", "m1", "approved", 0, State.SENT, [False], [("1", "EUR")]), now, variants)
    make(1, Made(0, "p1", "m1", "approved", 2, State.SENT, [False], [("1", "EUR")]), now, variants)
    before = queries()
    for number in range(2, 12):
        made = Made(
            1, f"p{number}", "m2", "approved", number % 3, State.SENT, [False], [("1", "USD")]
        )
        make(number, made, now, variants)
    assert queries() == before <= 14


# Variants beside each other ---------------------------------------------------------------------


def send(now, variant, count: int, clicked: int, first: int) -> None:
    campaign, account = variant.campaign, AccountFactory()
    messages = DirectMessage.objects.bulk_create(
        DirectMessage(
            comment_id=id_at(now) + first + number,
            posted_at=now,
            expires_at=now,
            account=account,
            campaign=campaign,
            variant=variant,
            state=State.SENT,
        )
        for number in range(count)
    )
    Click.objects.bulk_create(
        Click(message=message, token=uuid4(), at=now, is_bot=False)
        for message in messages[:clicked]
    )


def comparisons(now):
    return funnel.report(Period(now, now + timedelta(hours=1)), By.CAMPAIGN).comparisons


def test_the_better_variant_is_named_once_both_were_sent_often_enough(now, variants):
    a, b, _alone = variants
    send(now, a, 120, 60, 0)
    send(now, b, 99, 10, 1_000)
    [comparison] = comparisons(now)
    assert comparison.clicks.better == ""
    assert [row.click_rate is None for row in comparison.variants] == [False, True]
    send(now, b, 21, 2, 2_000)
    [comparison] = comparisons(now)
    assert (comparison.campaign, comparison.clicks.better) == (a.campaign.name, "A")
    assert comparison.variants[0].click_rate == rate(60, 120)
    assert comparison.conversions.better == ""


def test_a_variant_that_was_given_up_early_does_not_stop_the_others(now, variants):
    a, b, _alone = variants
    given_up = VariantFactory(campaign=a.campaign, name="C", weight=0)
    send(now, a, 120, 60, 0)
    send(now, b, 120, 10, 1_000)
    send(now, given_up, 5, 5, 2_000)
    assert comparisons(now)[0].clicks.better == "A"
    send(now, given_up, 100, 100, 3_000)
    assert [row.name for row in comparisons(now)[0].variants] == ["A", "B", "C"]


def test_a_campaign_with_one_variant_has_nothing_to_compare(now, variants):
    send(now, variants[2], 120, 60, 0)
    assert comparisons(now) == []


# Shown ------------------------------------------------------------------------------------------


@pytest.fixture
def console(client, operator):
    client.force_login(operator)
    return client


PAGE = "/admin/dmtrigger/conversion/funnel/"


def test_the_page_shows_what_came_of_the_last_week(console, now, variants):
    made = Made(0, "p1", "m1", "approved", 0, State.SENT, [False], [("20", "EUR")])
    make(0, made, now - timedelta(minutes=1), variants)
    html = console.get(PAGE).content.decode()
    assert variants[0].campaign.name in html
    assert "<b>20.00 EUR</b>" in html
    assert "not enough data yet" in html


@pytest.mark.parametrize("by", By)
def test_the_page_takes_the_funnel_apart_by_each(console, now, variants, by):
    make(0, Made(0, "p1", "m1", "approved", 0, State.SENT, [], []), now, variants)
    answer = console.get(PAGE, {"since": "2026-01-01", "until": "9999-12-31", "by": by.value})
    assert answer.status_code == 200
    assert len(answer.context["report"].groups) == 1


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": "2026-02-01", "until": "2026-01-01"},
        {"by": "moon"},
        {"until": ""},
    ],
)
def test_a_period_that_is_none_is_said_and_nothing_is_counted(console, query):
    answer = console.get(PAGE, query)
    assert (answer.status_code, answer.context.get("report")) == (200, None)
    assert "errorlist" in answer.content.decode()


def test_a_strangers_words_are_text_on_the_page(console, now, variants):
    bad = "<img src=x onerror=alert(1)>"
    make(0, Made(0, bad, "m1", "approved", 0, State.SENT, [], []), now, variants)
    answer = console.get(PAGE, {"by": "post", "until": "9999-12-31"})
    html = answer.content.decode()
    assert bad not in html
    assert "&lt;img src=x" in html


def test_the_page_is_found_from_the_campaigns(console):
    assert PAGE in console.get("/admin/dmtrigger/campaign/").content.decode()


def test_who_may_not_see_messages_sees_neither_the_page_nor_the_way_to_it(client, api_of):
    client.force_login(UserFactory(is_staff=True))
    assert client.get(PAGE).status_code == 403
    client.force_login(UserFactory())
    assert client.get(PAGE).url.startswith("/admin/login/")
    assert api_of("dmtrigger.view_conversion").get("/funnel").status_code == 403


def test_the_api_tells_the_same(api_of, now, variants):
    make(0, Made(0, "p1", "m1", "approved", 0, State.SENT, [False], [("20", "EUR")]), now, variants)
    api = api_of("dmtrigger.view_directmessage")
    until = (now + timedelta(hours=1)).isoformat()
    body = api.get("/funnel", {"by": "post", "until": until}).json()
    assert (body["by"], body["is_kept"]) == ("post", True)
    [group] = body["groups"]
    assert group == body["total"] | {"name": "p1 (fake_platform)"}
    assert (group["comments"], group["sent"], group["clicked"]) == (1, 1, 1)
    assert (group["revenue"], group["click_rate"]) == ({"EUR": "20.00"}, None)


@pytest.mark.parametrize(
    "query",
    [
        {"by": "moon"},
        {"since": "x"},
        {"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"until": "0001-01-02T00:00:00Z"},
    ],
)
def test_the_api_refuses_what_is_no_period(api_of, query):
    assert api_of("dmtrigger.view_directmessage").get("/funnel", query).status_code == 400


# The pictures -----------------------------------------------------------------------------------


def test_the_widest_bar_is_the_first_and_shares_are_of_enough_only():
    found = bars(Row(comments=10_000, flagged=400, approved=200, sent=99, clicked=33, converted=0))
    assert [round(bar.width) for bar in found] == [100, 50, 25, 8, 0]
    assert [bar.share for bar in found] == [0.04, 0.5, 99 / 200, None, None]


def test_where_reviews_are_gone_the_picture_begins_with_the_messages():
    found = bars(Row(sent=200, clicked=50))
    assert [(bar.name, bar.width, bar.share) for bar in found] == [
        ("Sent", 100, None),
        ("Clicked", 25, 0.25),
        ("Bought", 0, 0.0),
    ]


def test_an_empty_period_has_a_picture_too():
    assert [bar.width for bar in bars(Row(comments=0, flagged=0, approved=0))] == [0] * 5


def test_intervals_lie_within_the_picture():
    first, none, last = intervals([rate(10, 100), None, rate(60, 100)])
    assert none is None
    assert first
    assert last
    assert last.left + last.width == pytest.approx(100)
    assert first.left < first.mark < first.left + first.width < last.left
