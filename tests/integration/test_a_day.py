"""A day at the console: real processes, and an operator with a browser and a keyboard."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from django.core.management import call_command
from django.utils import timezone
from playwright.sync_api import Page, expect

from dmtrigger.models import DirectMessage
from dmtrigger.states import State
from dmtrigger.tasks import deliver_direct_messages
from tests.factories import CampaignFactory, ReviewFactory
from tests.integration.processes import (
    database_url,
    eventually,
    fake_platform_process,
    web_process,
    worker_process,
)

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

# In the order of the queue: who has waited longest is first.
LATER = ["mia", "ned", "ola", "pam", "quin", "rod"]  # whose wishes are clear
AUTHORS = [
    *("ada", "bea", "cleo", "dora", "eve", "fay", "gus", "hal", "ida", "jon", "kim", "lou"),
    *LATER,
    *("sue", "tom"),
]
FOR_EVER = "3600"  # a grace period that is over when the test says so
PASSWORD = "correct horse battery"


@dataclass
class Shop:
    """The running system: where its console is, what the platform holds, and its worker's log."""

    console: str
    platform: httpx.Client
    worker_log: Path

    def received(self) -> dict[str, str]:
        """What the platform has delivered: each person's message."""
        delivered = self.platform.get("/messages").json()["data"]
        messages = {each["author"]: each["text"] for each in delivered}
        assert len(messages) == len(delivered), "somebody got two"
        return messages


@pytest.fixture
def shop(tmp_path, settings, transactional_db) -> Iterator[Shop]:
    """The web process, a worker that sends and the fake platform."""
    settings.STATIC_ROOT = str(tmp_path / "static")
    call_command("collectstatic", interactive=False, verbosity=0)
    with ExitStack() as stack:
        start = stack.enter_context
        platform = start(fake_platform_process(tmp_path))
        env = {
            "DATABASE_URL": database_url(),
            "FAKE_PLATFORM_URL": platform,
            "GRACE_SECONDS": FOR_EVER,
        }
        log = tmp_path / "worker.log"
        start(worker_process(log, queues="send", **env))
        web = start(web_process(tmp_path, STATIC_ROOT=settings.STATIC_ROOT, **env))
        yield Shop(web, start(httpx.Client(base_url=platform)), log)


@pytest.fixture
def flagged(shop) -> None:
    """A review for each author, of a comment that is on the platform."""
    CampaignFactory()
    now = timezone.now()
    for minutes, author in enumerate(reversed(AUTHORS), start=1):
        posted_at = now - timedelta(minutes=minutes)
        said = {"text": f"{author} asks: how much is it?", "author": author}
        answer = shop.platform.post(
            "/posts/post-1/comments", json=said | {"timestamp": posted_at.isoformat()}
        )
        ReviewFactory(
            intent__comment__external_id=answer.raise_for_status().json()["id"],
            intent__comment__posted_at=posted_at,
            intent__comment__text=said["text"],
            intent__comment__author=author,
        )


def press(page: Page, *keys: str) -> None:
    """Press keys once the page heeds them: soon after it was opened they were meant for the one
    before."""
    page.wait_for_function(
        """() => {
            const { loadEventEnd } = performance.getEntriesByType("navigation")[0];
            return loadEventEnd > 0 && performance.now() > loadEventEnd + 500;
        }"""
    )
    for key in keys:
        page.keyboard.press(key)


def is_open(page: Page, author: str) -> None:
    """The review of the author's comment is before the operator, and waits for a decision."""
    expect(page.locator("blockquote").first).to_have_text(f"{author} asks: how much is it?")
    expect(page.get_by_role("button", name="Reject")).to_be_enabled()


def decide(page: Page, author: str, *keys: str, told: str) -> None:
    """Press the keys on the author's review; the page that follows tells of it."""
    is_open(page, author)
    press(page, *keys)
    expect(page.locator(".messagelist")).to_contain_text(told)


def approve(page: Page, author: str) -> None:
    decide(page, author, "a", told=f"Approved: {author}")


def reject(page: Page, author: str) -> None:
    decide(page, author, "r", told=f"Rejected: {author}")


def sign_in(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Log out")).to_be_visible()


def clear_the_queue(page: Page) -> None:
    """The operator's work: all of it by keys, from the list to the list."""
    page.get_by_role("link", name="Reviews", exact=True).first.click()
    expect(page.get_by_text("20 reviews", exact=True)).to_be_visible()
    press(page, "j", "Enter")
    approve(page, "ada")
    approve(page, "bea")
    reject(page, "cleo")
    is_open(page, "dora")
    press(page, "e", "Control+Home")
    page.keyboard.type("A bag for dora. ")  # "a" and "b" are letters here
    decide(page, "dora", "Tab", "Tab", "Tab", "a", told="Approved: dora")
    decide(page, "eve", "s", told="Snoozed (1 hour): eve")
    approve(page, "fay")
    decide(page, "gus", "u", told="the review waits again")  # the one before, fay's
    is_open(page, "fay")
    press(page, "n")
    approve(page, "gus")
    approve(page, "hal")
    reject(page, "ida")
    approve(page, "jon")
    is_open(page, "kim")
    press(page, "n")
    approve(page, "lou")
    for author in LATER:
        approve(page, author)
    reject(page, "sue")
    reject(page, "tom")
    expect(page.get_by_text("2 reviews", exact=True)).to_be_visible()  # fay and kim
    press(page, "j", "j", "Enter")
    approve(page, "kim")
    expect(page.get_by_text("1 review", exact=True)).to_be_visible()


def block(page: Page, author: str) -> None:
    """Block the author of a review that is approved, whose message has not left."""
    page.get_by_role("link", name="Approved", exact=True).click()
    page.get_by_role("link", name=f"{author} asks").click()
    press(page, "b")
    expect(page.get_by_text(f"Blocked: {author}")).to_be_visible()


def let_the_grace_period_end(shop: Shop) -> None:
    """An hour passes; what was approved and may be sent has left then."""
    assert shop.received() == {}
    DirectMessage.objects.filter(state=State.PENDING).update(next_attempt_at=timezone.now())
    deliver_direct_messages.delay()
    under_way = DirectMessage.objects.filter(state__in=(State.PENDING, State.SENDING))
    eventually(lambda: not under_way.exists(), "no message waits", log=shop.worker_log)


def figures(page: Page, address: str) -> dict[str, str]:
    """The numbers of the dashboard's tiles, as it is now."""
    page.goto(address)
    names = page.locator(".tiles h2").all_inner_texts()
    return dict(zip(names, page.locator(".tiles .figure").all_inner_texts(), strict=True))


def funnel(page: Page) -> dict[str, str]:
    """The numbers of the steps, without the percentages after them."""
    page.get_by_role("link", name="Funnel", exact=True).first.click()
    names = page.locator(".funnel dt").all_inner_texts()
    counts = [text.split()[0] for text in page.locator(".funnel .count").all_inner_texts()]
    return dict(zip(names, counts, strict=True))


def test_a_day_of_an_operator(shop, flagged, page, violations, operator):
    operator.set_password(PASSWORD)
    operator.save()
    sign_in(page, f"{shop.console}/admin/")
    before = figures(page, f"{shop.console}/admin/")
    assert (before["Reviews waiting"], before["Messages sent"]) == ("20", "0")

    clear_the_queue(page)
    block(page, "gus")
    let_the_grace_period_end(shop)

    received = shop.received()
    assert set(received) == {"ada", "bea", "dora", "hal", "jon", "kim", "lou", *LATER}
    assert received["dora"].startswith("A bag for dora. Hi dora: http")
    assert received["ada"].startswith("Hi ada: http")
    assert DirectMessage.objects.get(recipient="fay").state == State.CANCELLED
    assert DirectMessage.objects.get(recipient="gus").state == State.SUPPRESSED

    def sent() -> dict[str, str] | None:
        """The figures are kept for some seconds."""
        now = figures(page, f"{shop.console}/admin/")
        return now if now["Messages sent"] != before["Messages sent"] else None

    after = eventually(sent, "the dashboard says what was sent")
    assert after["Purchase intents found"] == "20"
    assert (after["Reviews waiting"], after["Messages sent"]) == ("1", "13")
    expect(page.get_by_text("14 approved")).to_be_visible()
    steps = funnel(page)
    assert (steps["Flagged"], steps["Approved"], steps["Sent"]) == ("20", "14", "13")
    page.goto(str(shop.platform.base_url))
    expect(page.get_by_text(re.compile("A bag for dora"))).to_be_visible()
    assert violations == []
