"""Take the pictures of docs/console.md from the running `make run`: `make screenshots`.

Each page twice: light as on a desk, dark as on a phone.
"""

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import urljoin

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from tqdm import tqdm

from tests.services import CHROMIUM, find_program

ROOT = Path(__file__).parents[1]
PASSWORD = ROOT / ".data" / "demo_password"
IMAGES = ROOT / "docs" / "images" / "console"
COLORS = 128  # enough for pages, and a third of the bytes
LOOKS: dict[str, tuple[ViewportSize, str]] = {
    "desk": ({"width": 1280, "height": 900}, "light"),
    "phone": ({"width": 390, "height": 844}, "dark"),
}
PAGES = {
    "dashboard": "",
    "reviews": "intents/review/",
    "review": "intents/review/ *",
    "messages": "dmtrigger/directmessage/",
    "message": "dmtrigger/directmessage/?state__exact=sent *",
    "campaigns": "dmtrigger/campaign/",
    "campaign": "dmtrigger/campaign/ *",
    "funnel": "dmtrigger/conversion/funnel/",
    "people": "dmtrigger/person/",
    "accounts": "dmtrigger/account/",
    "models": "intents/modelversion/",
    "comments": "comments/comment/",
    "monitors": "comments/monitor/",
    "audit": "dmtrigger/auditentry/",
    "users": "threadsagent/user/",
    "token": "knox/authtoken/add/",
    "two-factor": "two-factor/",
}
"""Where under /admin/ each is; with a star the first row of the list there."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--web", default="http://127.0.0.1:8000", help="where `make run` says")
    web = parser.parse_args().web
    chromium = os.environ.get("CHROMIUM") or find_program(CHROMIUM)
    if chromium is None or not PASSWORD.exists():
        sys.exit("Install Chromium (or set CHROMIUM to one), and start `make run` in this folder.")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, chromium_sandbox=os.geteuid() != 0
        )
        for look, (size, scheme) in LOOKS.items():
            page = _signed_in(browser, web, size, scheme)
            for name, path in tqdm(PAGES.items(), look):
                _open(page, f"{web}/admin/{path}")
                _keep(page, IMAGES / f"{name}-{look}.png")
            page.context.close()
        browser.close()


def _signed_in(browser: Browser, web: str, size: ViewportSize, scheme: str) -> Page:
    page = browser.new_page(viewport=size)
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"{web}/admin/")
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password").fill(PASSWORD.read_text().strip())
    page.get_by_role("button", name="Log in").click()
    page.get_by_text("Log out").wait_for(state="attached")
    return page


def _open(page: Page, address: str) -> None:
    page.goto(address.removesuffix(" *"))
    if address.endswith(" *"):
        first = page.locator("#result_list tbody tr a[href*='/change/']").first
        page.goto(urljoin(page.url, first.get_attribute("href")))
    page.wait_for_load_state("networkidle")


def _keep(page: Page, path: Path) -> None:
    page.screenshot(path=path)
    with Image.open(path) as taken:
        small = taken.convert("RGB").quantize(COLORS)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
