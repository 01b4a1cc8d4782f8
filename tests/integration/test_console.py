"""The review console in a real browser."""

import os
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from playwright.sync_api import Page, expect, sync_playwright

from dmtrigger.models import DirectMessage
from tests.factories import CampaignFactory, ReviewFactory
from threadsagent.roles import CAMPAIGN_MANAGERS

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(chromium_path, monkeypatch) -> Iterator[Page]:
    """A page of a headless Chromium that reaches nothing but this machine."""
    # Playwright's event loop lives in this thread, which Django takes for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path,
            args=[*quiet, "--disable-gpu"],
            chromium_sandbox=os.geteuid() != 0,  # Chromium refuses its sandbox to root
        )
        page = browser.new_page()
        page.set_default_timeout(10_000)
        yield page
        browser.close()
        connection.close()  # Django keeps one of its own for a thread with a running event loop


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
    expect(console.get_by_text("Hi ada: http").first).to_be_visible()
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
    console.get_by_label("Select all objects on this page for an action").check()
    console.get_by_label("Action:").select_option(label="Reject: send nothing")
    console.get_by_title("Run the selected action").click()
    expect(console.get_by_text("Rejected: 3")).to_be_visible()


def test_an_approval_is_undone_on_the_reviews_page(console):
    CampaignFactory()
    ReviewFactory(intent__comment__text="how much is the backpack?")
    console.get_by_role("link", name="Reviews", exact=True).first.click()
    console.get_by_role("link", name="how much is the backpack?").click()
    console.get_by_role("button", name="Approve and send").click()
    console.get_by_role("link", name="Its page").click()
    console.get_by_role("button", name="Undo").click()
    expect(console.get_by_text("the review waits again")).to_be_visible()
    assert DirectMessage.objects.get().state == "cancelled"


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
