"""The console's pages keep nobody out, as far as a program can tell: axe-core finds nothing."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.authenticator import code_of
from tests.factories import DirectMessageFactory, ReviewFactory

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

DJANGOS_OWN = [[".breadcrumbs"], ["#searchbar"]]
"""Links without a line under them, and a field whose label is a picture."""


@pytest.fixture
def console(page, live_server, operator) -> Page:
    """The console of somebody who may do everything, so that all of it is there."""
    operator.is_superuser = True
    operator.set_password("correct horse battery")
    operator.save()
    page.goto(f"{live_server.url}/admin/")
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Log out")).to_be_visible()
    return page


@pytest.fixture
def rows() -> dict[str, int]:
    """Keys of what the pages are about."""
    message = DirectMessageFactory(state="sent", sent_at=timezone.now())
    return {"review": ReviewFactory().pk, "campaign": message.campaign_id}


def problems(page: Page) -> list[str]:
    """What axe calls serious or critical."""
    found = Axe().run(page, context={"exclude": DJANGOS_OWN}).response["violations"]
    return [
        f"{page.url}: {each['help']}: {node['html']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_keeps_somebody_out(console, live_server, rows, scheme):
    console.emulate_media(color_scheme=scheme)
    found = []
    for path in (
        *("", "intents/review/", "intents/review/{review}/change/"),
        *("dmtrigger/campaign/{campaign}/change/", "dmtrigger/directmessage/"),
    ):
        console.goto(f"{live_server.url}/admin/{path.format(**rows)}")
        found += problems(console)
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_two_factor_login_keeps_nobody_out(console, live_server, operator, scheme):
    console.emulate_media(color_scheme=scheme)
    console.get_by_role("link", name="Two-factor login").click()
    found = problems(console)
    console.get_by_role("button", name="Set up").click()
    console.get_by_role("img", name="QR code").wait_for()
    found += problems(console)
    console.get_by_label("Code").fill(code_of(operator))
    console.get_by_role("button", name="Turn on").click()
    console.get_by_text("Your recovery codes").wait_for()
    found += problems(console)
    console.goto(f"{live_server.url}/admin/two-factor/")
    found += problems(console)
    console.get_by_role("button", name="Log out").click()
    console.goto(f"{live_server.url}/admin/")
    console.get_by_label("Username").fill("olga")
    console.get_by_label("Password").fill("correct horse battery")
    console.get_by_role("button", name="Log in").click()
    console.get_by_role("button", name="Start over").wait_for()
    found += problems(console)
    assert found == []


def test_what_keeps_somebody_out_would_be_found(console):
    console.evaluate("document.querySelector('#content').append(document.createElement('input'))")
    assert problems(console)
