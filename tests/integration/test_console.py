"""The review console in a real browser."""

import re

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from playwright.sync_api import Page, expect

from dmtrigger.links import Purpose, token_of
from dmtrigger.models import DirectMessage
from intents import reviews
from intents.models import Review
from tests.authenticator import code_of
from tests.factories import CampaignFactory, DirectMessageFactory, ReviewFactory, UserFactory
from threadsagent.roles import CAMPAIGN_MANAGERS

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def console(page, live_server, operator) -> Page:
    """The console's first page, an operator logged in."""
    operator.set_password("correct horse battery")
    operator.save()
    page.goto(f"{live_server.url}/")
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Log in").click()
    return page


def test_an_operator_approves_one_review_with_the_message_in_view(console):
    CampaignFactory()
    ReviewFactory(intent__comment__text="how much is the backpack? 😍")
    console.get_by_role("link", name="Reviews", exact=True).first.click()
    console.get_by_role("link", name="how much is the backpack? 😍").click()
    expect(console.locator("[name=text]")).to_have_value(re.compile("^Hi ada: http"))
    console.get_by_label("Note").fill("asks for the price")
    console.get_by_role("button", name="Approve and send").click()
    expect(console.get_by_text("Approved: ada: how much is the backpack? 😍")).to_be_visible()
    expect(console.get_by_text("0 reviews")).to_be_visible()
    review = DirectMessage.objects.get().review
    assert review
    assert (review.note, str(review.decided_by)) == ("asks for the price", "olga")


def test_an_operator_rejects_several_at_once(console):
    ReviewFactory.create_batch(3)
    console.get_by_role("link", name="Reviews", exact=True).first.click()
    console.wait_for_url("**/admin/intents/review/")  # before, no script listens to the box
    console.get_by_label("Select all objects on this page for an action").check()
    console.get_by_label("Action:").select_option(label="Reject: send nothing")
    console.get_by_title("Run the selected action").click()
    expect(console.get_by_text("Rejected: 3")).to_be_visible()


def test_an_approval_is_undone_where_the_next_review_opened(console):
    CampaignFactory()
    ReviewFactory(intent__comment__text="how much is the backpack?")
    console.get_by_role("link", name="Reviews", exact=True).first.click()
    console.get_by_role("link", name="how much is the backpack?").click()
    console.get_by_role("button", name="Approve and send").click()
    console.get_by_role("button", name="Undo").click()
    expect(console.get_by_text("the review waits again")).to_be_visible()
    assert DirectMessage.objects.get().state == "cancelled"


def in_a_moment(page: Page) -> None:
    """A key that comes at once is taken for one of the page before."""
    page.wait_for_timeout(600)


def test_reviews_are_decided_one_after_the_other_by_keys(console, live_server):
    CampaignFactory()
    for name in ("ada", "bea", "joan"):
        ReviewFactory(intent__comment__author=name)
    console.goto(f"{live_server.url}/admin/intents/review/")
    in_a_moment(console)
    console.keyboard.press("j")
    console.keyboard.press("j")
    console.keyboard.press("k")
    console.keyboard.press("Enter")
    expect(console.locator("[name=text]")).to_have_value(re.compile("^Hi ada"))
    in_a_moment(console)
    console.keyboard.press("a")
    expect(console.get_by_text("Approved: ada")).to_be_visible()
    expect(console.locator("[name=text]")).to_have_value(re.compile("^Hi bea"))
    in_a_moment(console)
    console.keyboard.press("s")
    expect(console.get_by_text("Snoozed (1 hour): bea")).to_be_visible()
    expect(console.locator("[name=text]")).to_have_value(re.compile("^Hi joan"))
    console.get_by_label("Note").fill("")
    console.keyboard.type("a bear")  # would approve, block, edit and reject
    in_a_moment(console)
    console.keyboard.press("Tab")
    console.keyboard.press("r")
    expect(console.get_by_text("Rejected: joan")).to_be_visible()
    expect(console.get_by_text("0 reviews")).to_be_visible()
    assert Review.objects.get(status="rejected").note == "a bear"
    assert DirectMessage.objects.get().recipient == "ada"


def test_escape_leaves_a_field_so_that_the_keys_work_again(console, live_server):
    CampaignFactory()
    review = ReviewFactory()
    console.goto(f"{live_server.url}/admin/intents/review/{review.pk}/change/")
    in_a_moment(console)
    console.keyboard.press("e")
    text = console.locator("[name=text]")
    expect(text).to_be_focused()
    console.keyboard.press("End")
    console.keyboard.type(" Reject")
    console.keyboard.press("Escape")
    expect(text).not_to_be_focused()
    expect(text).to_have_value(re.compile("Reject"))
    console.keyboard.press("?")
    expect(console.get_by_text("leave a field")).to_be_visible()
    console.keyboard.press("Escape")
    console.keyboard.press("r")
    expect(console.get_by_text("Rejected: ada")).to_be_visible()


def test_the_keys_are_shown_and_reviews_ticked_by_them(console, live_server):
    ReviewFactory.create_batch(2)
    console.goto(f"{live_server.url}/admin/intents/review/")
    in_a_moment(console)
    console.keyboard.press("?")
    expect(console.get_by_text("these keys")).to_be_visible()
    console.keyboard.press("Escape")
    console.keyboard.press("j")
    console.keyboard.press("x")
    expect(console.get_by_text("1 of 2 selected")).to_be_visible()


def test_an_operator_turns_two_factor_login_on_and_signs_in_with_it(
    violations, console, live_server, operator
):
    console.get_by_role("link", name="Two-factor login").click()
    console.get_by_role("button", name="Set up").click()
    picture = console.get_by_role("img", name="QR code")
    assert picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 100
    console.get_by_label("Code").fill(code_of(operator))
    console.get_by_role("button", name="Turn on").click()
    expect(console.locator(".codes code")).to_have_count(10)
    recovery_code = console.locator(".codes code").first.inner_text()
    for code in (code_of(operator), recovery_code):
        console.get_by_role("button", name="Log out").click()
        console.goto(f"{live_server.url}/admin/intents/review/")
        console.get_by_label("Username").fill("olga")
        console.get_by_label("Password").fill("correct horse battery")
        console.get_by_role("button", name="Log in").click()
        expect(console.get_by_label("Code")).to_be_focused()
        console.keyboard.type(code)
        console.keyboard.press("Enter")
        expect(console.get_by_text("0 reviews")).to_be_visible()
    assert violations == []


def test_a_review_is_claimed_while_its_page_is_open(console, live_server, operator):
    review = ReviewFactory()
    with console.expect_response(re.compile("/claim/")):
        console.goto(f"{live_server.url}/admin/intents/review/{review.pk}/change/")
    review.refresh_from_db()
    assert review.claimed_by == operator
    console.get_by_role("link", name="Reviews").first.click()
    expect(console.get_by_text("1 review", exact=True)).to_be_visible()
    for _ in range(100):  # Playwright does not see what is sent when a page is left
        review.refresh_from_db()
        if review.claimed_by is None:
            break
        console.wait_for_timeout(50)
    assert review.claimed_by is None


def test_what_somebody_else_has_open_is_taken_over_with_a_button(console, live_server):
    CampaignFactory()
    review = ReviewFactory()
    reviews.claim(review.pk, UserFactory(username="otto").pk)
    with console.expect_response(re.compile("/claim/")):
        console.goto(f"{live_server.url}/admin/intents/review/{review.pk}/change/")
    expect(console.get_by_text("otto has had this review open")).to_be_visible()
    expect(console.get_by_role("button", name="Reject")).to_be_disabled()
    console.get_by_role("button", name="Take this review over").click()
    expect(console.get_by_text("otto has had this review open")).to_be_hidden()
    console.get_by_role("button", name="Reject").click()
    expect(console.get_by_text("Rejected: ada")).to_be_visible()


def test_new_reviews_are_told_of_without_a_reload(console, live_server):
    ReviewFactory(intent__comment__author="ada")
    console.clock.install()
    console.goto(f"{live_server.url}/admin/intents/review/")
    ReviewFactory.create_batch(2, intent__comment__author="bea")
    console.clock.fast_forward(16_000)
    expect(console.get_by_text("1 review", exact=True)).to_be_visible()  # stays as it was
    console.get_by_role("link", name="2 new reviews").click()
    expect(console.get_by_text("3 reviews", exact=True)).to_be_visible()


def test_a_wording_is_shown_as_somebody_gets_it_while_it_is_written(console, live_server, operator):
    operator.groups.add(Group.objects.get(name=CAMPAIGN_MANAGERS))
    ReviewFactory(intent__comment__author="<b>ada</b>")
    console.goto(f"{live_server.url}/admin/dmtrigger/campaign/add/")
    template = console.get_by_role("textbox", name="Template")
    template.fill("Dear {{ author }}, an automated hello")
    expect(console.get_by_text("Dear <b>ada</b>, an automated hello")).to_be_visible()
    template.fill("Dear {{ price }}")
    expect(console.get_by_text("price is no variable")).to_be_visible()


def test_a_comment_that_is_markup_is_shown_as_text(console):
    CampaignFactory()
    ReviewFactory(intent__comment__text="<img src=x onerror=document.title='owned'>")
    console.get_by_role("link", name="Reviews", exact=True).first.click()
    console.get_by_role("link", name="<img src=x").click()
    expect(console.get_by_text("<img src=x onerror=document.title='owned'>").first).to_be_visible()
    assert "owned" not in console.title()


ADMIN_PAGES = (
    *("", "password_change/", "intents/review/", "intents/review/{review}/change/"),
    *("dmtrigger/campaign/", "dmtrigger/campaign/{campaign}/change/"),
    *("dmtrigger/campaign/{campaign}/dry-run/", "dmtrigger/conversion/funnel/"),
    *("dmtrigger/directmessage/", "dmtrigger/directmessage/{message}/change/"),
    *("dmtrigger/person/add/", "dmtrigger/account/", "dmtrigger/webhookendpoint/add/"),
    *("intents/modelversion/", "intents/modelversion/compare/", "comments/monitor/add/"),
    *("threadsagent/user/add/", "threadsagent/user/{user}/change/", "knox/authtoken/add/"),
    *("dmtrigger/campaign/add/", "dmtrigger/campaign/{campaign}/history/"),
)


@pytest.fixture
def rows(operator) -> dict[str, int]:
    """Keys of what the pages are about; the operator may see them all."""
    operator.is_superuser = True
    operator.save()
    message = DirectMessageFactory(state="sent", sent_at=timezone.now())
    return {
        "review": ReviewFactory().pk,
        "campaign": message.campaign_id,
        "message": message.pk,
        "user": operator.pk,
    }


def test_no_page_of_the_console_does_what_its_policy_forbids(
    violations, console, live_server, rows
):
    for path in ADMIN_PAGES:
        answer = console.goto(f"{live_server.url}/admin/{path.format(**rows)}")
        assert answer is not None
        assert answer.status == 200, path
    assert violations == []


def test_the_pages_of_buyers_do_nothing_that_their_policy_forbids(violations, page, live_server):
    message = DirectMessageFactory()
    page.goto(f"{live_server.url}/o/{token_of(message.comment_id, Purpose.OPT_OUT)}")
    page.get_by_role("button", name="No messages for 7 days").click()
    expect(page.get_by_text("You get no more automated messages")).to_be_visible()
    page.goto(f"{live_server.url}/r/x")
    expect(page.get_by_text("This link leads nowhere")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).display") == "grid"  # it has its style
    assert violations == []


def test_the_page_of_the_api_calls_it(violations, console, live_server, rows):
    console.goto(f"{live_server.url}/api/docs/")
    console.get_by_text("/comments/monitor/{task_id}").first.wait_for()
    console.locator("#operations-campaigns-campaigns_list .opblock-summary-control").click()
    console.get_by_role("button", name="Try it out").click()
    console.get_by_role("button", name="Execute").click()
    expect(
        console.locator(".responses-table.live-responses-table").get_by_text("200")
    ).to_be_visible()
    assert violations == []


def test_what_is_forbidden_would_be_noticed(violations, console):
    console.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">')")
    expect(console.get_by_text("Log out")).to_be_visible()
    assert violations
