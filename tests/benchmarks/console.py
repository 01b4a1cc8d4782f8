"""How fast the console and the API's lists are: `make bench-console`.

Starts PostgreSQL and Valkey, asks for each page with few comments and then with five million, their
results, reviews and messages, by a superuser through Django's test client (the whole of the
middleware, no network). Prints a table and a last line of JSON, and removes everything again. It
takes about four minutes on two quiet cores, most of them to fill the tables.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import django

from tests.benchmarks import usage
from tests.benchmarks.bench import WrongAnswerError, progress
from tests.benchmarks.command import QUICK_HELP, run
from tests.benchmarks.figures import Figures, Times, heading
from tests.benchmarks.services import Services

if TYPE_CHECKING:
    from django.test import Client

DAYS = 10  # that the comments came in on, the last of them today
WAITING = 500  # reviews; the others are decided
MOST_QUERIES, MOST_SECONDS = 10, 0.2  # aimed at, for each list
OK = 200
API = (
    *("comments", "intents", "reviews", "campaigns", "messages", "accounts", "opt-outs"),
    *("refusals", "conversions", "funnel", "models"),
)
SMALL, LARGE = "small", "large"


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    small: int = 5_000
    large: int = 5_000_000
    repetitions: int = 15


QUICK = Scale(1_000, 20_000, 3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code says whether it was measured, not how fast it is."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.console", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=QUICK_HELP)
    options = parser.parse_args(arguments)
    return run(partial(_measure, quick=options.quick), rabbitmq=False)


def _measure(_services: Services, _stack: contextlib.ExitStack, *, quick: bool) -> None:
    django.setup()
    logging.disable(logging.INFO)  # its lines would break the progress bars
    from django.core.management import call_command
    from django.test.utils import setup_test_environment

    from tests.benchmarks.machine import machine

    started = time.monotonic()
    scale = QUICK if quick else Scale()
    call_command("migrate", verbosity=0)
    figures = Figures(machine(quick=quick))
    setup_test_environment()  # the test client's host name is allowed
    pages, client = _pages(), _client()
    filled = 0
    for size, count in ((SMALL, scale.small), (LARGE, scale.large)):
        _fill(count - filled, filled)
        filled = figures[f"{size}_comments"] = count
        for name, path in progress(pages.items(), f"{count:,} comments"):
            _ask(figures, f"{size}_{name}", client, path, scale.repetitions)
    for name in pages:
        figures[f"{name}_large_times_small"] = figures.ratio(f"{LARGE}_{name}", f"{SMALL}_{name}")
    figures["memory_mb"] = usage.memory(os.getpid(), "VmHWM")
    figures["seconds_in_all"] = time.monotonic() - started
    sys.stdout.write(_table(figures, list(pages)))
    sys.stdout.write(f"{json.dumps(figures.rounded())}\n")


def _pages() -> dict[str, str]:
    """Every list of the console, the dashboard, and the API's lists, by the names of figures."""
    from django.contrib import admin
    from django.urls import reverse

    pages = {
        f"dashboard_{period}": f"{reverse('admin:index')}?period={period}"
        for period in ("24h", "7d", "30d")
    }
    for model in admin.site._registry:
        label = model._meta.label_lower.replace(".", "_")
        pages[f"list_{label}"] = reverse(f"admin:{label}_changelist")
    pages["list_intents_review_all"] = reverse("admin:intents_review_changelist") + "?status=all"
    pages["funnel"] = reverse("admin:dmtrigger_funnel")
    return pages | {f"api_{name.replace('-', '_')}": f"/api/v1/{name}" for name in API}


def _client() -> Client:
    from django.test import Client

    from threadsagent.models import User

    client = Client()
    client.force_login(User.objects.create_superuser("benchmark"))
    return client


def _fill(count: int, before: int) -> None:
    """Comments of some days, with results, reviews and messages; few reviews wait."""
    from django.utils import timezone

    from comments import partitions
    from dmtrigger.models import Account, Campaign
    from intents.models import Review
    from tests.benchmarks import database, growth
    from tests.benchmarks.data import Platform

    Campaign.objects.get_or_create(name="benchmark", link="https://shop.example")
    Account.objects.get_or_create(source="fake_platform")
    platform = Platform(seed=before)
    platform.reserve(before)  # ids that the comments of before have
    each = count // DAYS
    days = [partitions.today() - timedelta(days=ago) for ago in reversed(range(DAYS))]
    for day in progress(days, f"filling in {count:,}"):
        if day != partitions.today():
            database.make_partitions(day)
        first = partitions.first_id(day), partitions.first_id(day + timedelta(days=1))
        database.fill(day, each, platform.reserve(each), "fake_platform")
        for statement in growth.RESULTS:
            database.change(f"{statement} ON CONFLICT DO NOTHING", *first)
    database.execute("UPDATE comments_comment SET analyzed_at = now() WHERE analyzed_at IS NULL")
    waiting = Review.objects.filter(status=Review.Status.PENDING).order_by("-pk")
    old = waiting.values_list("pk", flat=True)[WAITING : WAITING + 1].first()
    if old is not None:
        decided = {"decided_by_rule": "benchmark", "decided_at": timezone.now()}
        waiting.filter(pk__lte=old).update(status=Review.Status.REJECTED, **decided)
    database.settle()


def _ask(figures: Figures, name: str, client: Client, path: str, repetitions: int) -> None:
    """The time of a page, as a visitor has it whose page was just asked for, and its queries."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:  # of the first: nothing is remembered
        answer = client.get(path)
    if answer.status_code != OK:
        raise WrongAnswerError(f"{path} answers {answer.status_code}")
    figures[f"{name}_queries"] = len(queries)
    times = Times()
    for _ in range(repetitions):
        with times.clock():
            client.get(path)
    figures[f"{name}_median_s"] = times.median
    figures[f"{name}_p95_s"] = times.p95


def _table(figures: Figures, names: list[str]) -> str:
    f = figures
    lines = [
        f"{f['cores']} cores ({f['processor']}), PostgreSQL {f['postgres']}; load before"
        f" {f.number('load_before'):.2f}; {f.number('seconds_in_all') / 60:.0f} minutes;"
        f" {f.number('memory_mb'):.0f} MB",
        heading(f"{f['large_comments']:,} comments"),
        f"  {'':<42}{'queries':>8}{'median':>10}{'p95':>10}{'times few':>11}",
    ]
    for name in names:
        page = f"{LARGE}_{name}"
        median, p95 = f.number(f"{page}_median_s"), f.number(f"{page}_p95_s")
        queries = f.number(f"{page}_queries")
        missed = "  MISSED" if queries >= MOST_QUERIES or p95 >= MOST_SECONDS else ""
        ratio = f.number(f"{name}_large_times_small")
        lines.append(
            f"  {name:<42}{queries:>8.0f}{median:>8.3f} s{p95:>8.3f} s{ratio:>10.1f}×{missed}"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
