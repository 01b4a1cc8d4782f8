"""A real browser, for the tests that look at pages."""

import os
from collections.abc import Iterator

import pytest
from django.db import connection
from playwright.sync_api import ConsoleMessage, Page, sync_playwright


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
def violations(page) -> list[str]:
    """What the browser has told of the content security policy, and of what failed.

    Not that the page itself is a 404 or the like: that is for the test to see.
    """
    told: list[str] = []

    def note(message: ConsoleMessage) -> None:
        is_error = message.type == "error" and message.location["url"] != page.url
        if is_error or "Content Security Policy" in message.text:
            told.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: told.append(f"{page.url}: {error}"))
    return told
