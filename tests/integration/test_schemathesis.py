"""The API does what its OpenAPI document says, whatever it is sent (`schemathesis.toml`)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone
from knox.models import AuthToken

from dmtrigger.links import token_of
from dmtrigger.models import Conversion, Refusal
from tests.factories import DirectMessageFactory, MonitorFactory, UserFactory
from tests.integration.processes import ROOT, web_process

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FEWEST_CASES = 2_000  # it is some more; far fewer would mean that not much is tested any more

# Calls whose answers name a thing that others are about, below the same path.
FIRST = (
    "POST /api/v1/comments/monitor",
    "POST /api/v1/campaigns",
    "POST /api/v1/opt-outs",
    "GET /api/v1/conversions",
    "GET /api/v1/reviews",
)

Events = list[dict[str, Any]]


@pytest.fixture
def schemathesis(tmp_path, transactional_db) -> Iterator[Callable[..., Events]]:
    """Have the running server tested, with a row of every kind in it, and see what was done."""
    _token, key = AuthToken.objects.create(UserFactory(is_superuser=True))
    message = DirectMessageFactory()
    MonitorFactory()
    at = timezone.now()
    Conversion.objects.create(message=message, order_id="1", value=1, currency="EUR", at=at)
    Refusal.objects.create(comment_id=1, campaign=message.campaign, rule="too_old", reason="")
    env = {
        "API_TOKEN": key,
        "CONVERSIONS_SECRET": SECRET,
        "LINK_TOKEN": token_of(message.comment_id),
        "RATE_LIMIT_PER_MINUTE": "1000000",
    }

    def test(*arguments: str) -> Events:
        report = tmp_path / "events.ndjson"
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/api/schema"]
        command += ["--header", f"Authorization: Token {key}"]  # to fetch the document
        command += ["--report-ndjson-path", str(report), *arguments]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True)
        assert done.returncode == 0, done.stdout.decode()
        return [json.loads(line) for line in report.read_text().splitlines()]

    with web_process(tmp_path, WEB_CONCURRENCY="2", **env) as url:
        yield test


def cases_of(events: Events) -> list[dict[str, Any]]:
    """The calls that were made."""
    scenarios = [each["ScenarioFinished"] for each in events if "ScenarioFinished" in each]
    return [case for each in scenarios for case in each["recorder"].get("cases", {}).values()]


def test_every_call_does_what_the_document_says(schemathesis):
    events = schemathesis("--max-examples", "5")
    [operations] = [
        each["LoadingFinished"]["statistic"]["operations"]
        for each in events
        if "LoadingFinished" in each
    ]
    assert operations["selected"] == operations["total"] > 40
    assert len(cases_of(events)) >= FEWEST_CASES


def test_calls_that_build_on_each_other_do_so(schemathesis):
    for first in FIRST:  # among all calls, those that belong together would seldom meet
        path = first.split()[1]
        only = ("--phases", "stateful", "--include-path-regex", path)
        events = schemathesis(*only, "--max-examples", "30")
        # those that were made with what the call before was answered
        followed = [
            each["transition"]["id"] for each in cases_of(events) if each["is_transition_applied"]
        ]
        assert [each for each in followed if each.startswith(f"{first} ") and f" {path}/{{" in each]
