"""The console's first page: every number leads to its rows, and nobody sees too much."""

import re
from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from dmtrigger import dashboard
from dmtrigger.models import Click, Conversion, WebhookEndpoint
from dmtrigger.states import State
from intents.models import Review
from tests.factories import (
    AccountFactory,
    AnalysisFailureFactory,
    CommentFactory,
    DirectMessageFactory,
    ReviewFactory,
    UserFactory,
)
from threadsagent.roles import ROLES

pytestmark = pytest.mark.django_db
PAGE = "/admin/"
LINK = re.compile(r'<a href="([^"]+)"[^>]*>([^<]*)</a>')


@pytest.fixture
def console(client, operator):
    client.force_login(operator)
    return client


@pytest.fixture
def of_rights(client):
    """`of_rights("comments.view_comment", …)`: the page as somebody with just these rights."""

    def get(*rights: str) -> str:
        user = UserFactory(is_staff=True)
        for right in rights:
            app, codename = right.split(".")
            user.user_permissions.add(
                Permission.objects.get(content_type__app_label=app, codename=codename)
            )
        client.force_login(user)
        return dashboard_of(client)

    return get


@pytest.fixture
def sample(operator):
    """Something of everything."""
    now = timezone.now()
    CommentFactory.create_batch(3, author="bob", post_id="p9")
    CommentFactory(analyzed_at=now)
    ReviewFactory(flagged_at=now - timedelta(hours=3))
    ReviewFactory(intent__comment__posted_at=now - timedelta(days=6.5))
    ReviewFactory(status=Review.Status.REJECTED, decided_at=now, decided_by=operator)
    for state in (State.PENDING, State.SENDING, State.FAILED, State.SENT, State.SENT):
        sent = DirectMessageFactory(
            state=state,
            review__status="approved",
            review__decided_at=now,
            review__decided_by=operator,
        )
    for is_bot in (False, True):
        Click.objects.create(message=sent, token=uuid4(), at=now, is_bot=is_bot)
    for order, currency in (("1", "EUR"), ("2", "USD")):
        Conversion.objects.create(
            message=sent, order_id=order, value="1250.50", currency=currency, at=now
        )
    DirectMessageFactory(state=State.UNKNOWN, next_attempt_at=None)
    AnalysisFailureFactory()
    WebhookEndpoint.objects.create(name="shop", url="https://shop.example/hook", is_active=False)
    paused_until = now + timedelta(hours=1)
    AccountFactory(name="brand", paused_until=paused_until, pause_reason="token <b>gone")


def dashboard_of(client, **parameters: str) -> str:
    """The part of the page that is ours."""
    answer = client.get(PAGE, parameters)
    assert answer.status_code == 200
    html = answer.content.decode()
    return html[html.index('<div class="console">') : html.index('<div id="content-main">')]


def links_of(html: str) -> list[tuple[str, str]]:
    """Address and text of each link out of the page."""
    found = [(unescape(url), unescape(text)) for url, text in LINK.findall(html)]
    return [(url, text) for url, text in found if url.startswith("/")]


# Figures and their rows -------------------------------------------------------------------------


@pytest.mark.parametrize("period", ["24h", "7d", "30d"])
def test_every_number_leads_to_as_many_rows(sample, admin_client, period):
    links = links_of(dashboard_of(admin_client, period=period))
    numbers = [(url, re.match(r"[\d,]+(?![\d:])", text)) for url, text in links]
    # Reviews that close soon lead to all that wait, the oldest first: they have no list.
    followed = [
        (url, int(m[0].replace(",", ""))) for url, m in numbers if m and "order=oldest" not in url
    ]
    assert len(followed) > 25
    for url, number in followed:
        answer = admin_client.get(url)
        assert answer.status_code == 200, url
        assert answer.context["cl"].result_count == number, url


def test_the_tiles_tell_what_came_in_and_what_it_brought(sample, console):
    tiles = console.get(PAGE).context["tiles"]
    told = {tile.name: (tile.figure.text, [note.text for note in tile.notes]) for tile in tiles}
    queued = Review.objects.count() + 3
    assert told["Comments in"][0] == str(queued + 2)
    assert told["Purchase intents found"] == (str(Review.objects.count()), ["5 approved"])
    assert told["Reviews waiting"] == ("3", ["the oldest for 3\xa0hours"])
    assert told["Messages sent"] == ("2", ["2 waiting", "1 unknown", "1 failed"])
    assert told["Clicks by people"] == ("1", ["on 1 of the messages"])
    assert told["Conversions"] == ("2", ["1,250.50 EUR", "1,250.50 USD"])


def test_a_ranking_leads_to_the_comments_of_a_post_or_a_person(sample, console):
    links = {text: url for url, text in links_of(dashboard_of(console))}
    assert console.get(links["p9"]).context["cl"].result_count == 3
    assert console.get(links["bob"]).context["cl"].result_count == 3


def test_pictures_have_a_text_and_the_same_figures_as_a_table(sample, console):
    html = dashboard_of(console)
    assert html.count('role="img"') == html.count("<desc id=") == 4
    table = console.get(PAGE).context["table"]
    assert table["head"] == ["Comments", "Intents found", "Messages sent", "Clicks by people"]
    assert len(table["lines"]) == 24
    name, cells = table["lines"][0]
    assert name == f"{timezone.now():%H}:00"
    assert [cell.text for cell in cells][2:] == ["2", "1"]
    assert "Most: 2, " in html


def test_the_funnel_is_that_of_its_own_page(sample, console):
    context = console.get(PAGE, {"period": "7d"}).context
    steps = [(step.bar.name, step.reached.text) for step in context["funnel"]["steps"]]
    page = console.get(context["funnel"]["url"]).context
    assert steps == [(bar.name, str(bar.reached)) for bar in page["bars"]]
    assert context["funnel"]["comments"].text == str(page["report"].total.comments)


@pytest.mark.parametrize(("decisions", "said"), [(29, "Not enough data yet"), (30, "33.3 %")])
def test_the_models_precision_is_told_from_enough_decisions_on(console, operator, decisions, said):
    for number in range(decisions):
        status = "approved" if number % 3 == 0 else "rejected"
        ReviewFactory(status=status, decided_at=timezone.now(), decided_by=operator)
    html = dashboard_of(console)
    assert said in html
    assert ("Not enough data yet" in html) == (decisions < 30)


def test_an_account_tells_its_hour(console):
    AccountFactory(name="brand", hourly_limit=40)
    html = dashboard_of(console)
    assert "brand (fake_platform)" in html
    assert "0 of 40" in html


# Periods ----------------------------------------------------------------------------------------


def test_the_period_is_chosen_by_the_address(console):
    CommentFactory()
    for period, steps in (("24h", 24), ("7d", 7), ("30d", 30), ("moon", 24), ("", 24)):
        context = console.get(PAGE, {"period": period}).context
        assert len(context["table"]["lines"]) == steps
    html = dashboard_of(console, period="7d")
    assert '<a href="?period=7d" aria-current="page">' in html
    assert html.count("aria-current") == 1


def test_an_empty_system_has_a_page_too(console):
    html = dashboard_of(console)
    assert "No alerts." in html
    assert "None in this period." in html


# Alerts -----------------------------------------------------------------------------------------


def test_each_alert_leads_to_where_it_is_dealt_with(sample, admin_client):
    old = timezone.now() - timedelta(minutes=5)
    CommentFactory(created_at=old)
    alerts = admin_client.get(PAGE).context["alerts"]
    words = " | ".join(alert.text for alert in alerts)
    assert "1 message may have been delivered or not" in words
    assert "1 review can be answered for less than a day" in words
    assert "1 comment could not be analysed" in words
    assert "1 webhook endpoint is switched off" in words
    assert "comments wait to be analysed, the oldest for 5\xa0minutes" in words
    assert "brand (fake_platform) is paused until" in words
    assert len(alerts) == 6
    for alert in alerts:
        assert admin_client.get(alert.url).status_code == 200


def test_comments_that_wait_for_seconds_are_no_alert(console):
    CommentFactory()
    context = console.get(PAGE).context
    assert context["alerts"] == []
    assert (
        context["tiles"][0]
        .notes[0]
        .text.startswith("1 comment waits to be analysed, the oldest for 0 s")
    )


def test_what_others_wrote_is_text_on_the_page(sample, console):
    bad = "<img src=x onerror=alert(1)>"
    CommentFactory(post_id=bad, author=bad)
    html = dashboard_of(console)
    assert bad not in html
    assert html.count("&lt;img src=x") >= 2
    assert "token &lt;b&gt;gone" in html


def test_the_page_needs_neither_a_script_nor_a_style_of_its_own(sample, console):
    html = dashboard_of(console)
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://", html)


# Rights -----------------------------------------------------------------------------------------

SHOWN = {
    "comments.view_comment": ["Comments in", "Most active commenters", "wait to be analysed"],
    "intents.view_review": ["Purchase intents found", "Reviews waiting", "can be answered"],
    "intents.view_modelversion": ["Precision of the model"],
    "intents.view_analysisfailure": ["could not be analysed"],
    "dmtrigger.view_directmessage": ["Messages sent", ">Funnel<", "may have been delivered"],
    "dmtrigger.view_click": ["Clicks by people"],
    "dmtrigger.view_conversion": ["Conversions", "1,250.50 EUR"],
    "dmtrigger.view_account": ["Accounts that send", "is paused"],
    "dmtrigger.view_webhookendpoint": ["switched off"],
}
ALSO = {"intents.view_review": ["Precision of the model"]}


@pytest.mark.parametrize("right", SHOWN)
def test_a_right_shows_its_own_and_nothing_else(sample, of_rights, right):
    html = of_rights(right)
    shown = SHOWN[right] + ALSO.get(right, [])
    for words in shown:
        assert words in html
    everything = {words for others in SHOWN.values() for words in others}
    for words in everything - set(shown):
        assert words not in html


def test_who_has_no_rights_sees_nothing_and_nothing_is_counted(sample, of_rights, monkeypatch):
    monkeypatch.setattr(dashboard, "figures", None)
    monkeypatch.setattr(dashboard, "health", None)
    assert LINK.findall(of_rights()) == []


@pytest.mark.parametrize("role", ROLES)
def test_no_link_leads_a_role_to_where_it_may_not_go(sample, client, role):
    user = UserFactory(is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    for url, text in links_of(dashboard_of(client)):
        assert client.get(url).status_code == 200, (url, text)


def test_strangers_see_the_page_to_sign_in(client):
    client.force_login(UserFactory())
    assert client.get(PAGE).url.startswith("/admin/login/")


def test_the_list_of_everything_stays_below(console):
    html = console.get(PAGE).content.decode()
    below = html[html.index('<div id="content-main">') :]
    assert "/admin/intents/review/" in below
    assert "Recent actions" in below


# Cost -------------------------------------------------------------------------------------------


def test_the_page_costs_few_queries_and_fewer_while_figures_are_kept(
    sample, console, django_assert_max_num_queries
):
    with django_assert_max_num_queries(15):
        console.get(PAGE)
    with django_assert_max_num_queries(8):
        console.get(PAGE)


def test_the_page_is_there_without_the_cache(sample, console, no_redis):
    assert "Comments in" in dashboard_of(console)
