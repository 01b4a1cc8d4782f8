"""How fast short links are answered: `python -m tests.benchmarks.redirect`.

Starts PostgreSQL, Valkey and web processes with one worker each, and follows
links over eight connections: those that nobody has followed before (each a query), the same few
again and again (from memory), and the first kind by a plain view behind all of the middleware,
which stores no click. They take turns, so that all meet the same machine. The clicks are counted
afterwards. Prints a table and a last line of JSON; a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import django

from tests.benchmarks import usage, visitors
from tests.benchmarks.bench import progress
from tests.benchmarks.command import QUICK_HELP, run
from tests.benchmarks.figures import Figures, Times, heading
from tests.benchmarks.services import Services, Web

CONNECTIONS = 8
WARM_UP = 500
FEW = 100  # links that are followed again
ROUNDS, VISITS = 6, 600  # with the warm-up no worker gets to gunicorn's max_requests, and restarts
QUICK = (2, 200)
GOAL = 1_000  # a second
KINDS = {
    "new": "links followed for the first time",
    "again": "links followed before",
    "plain": "baseline: a plain view, no clicks",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code says whether it was measured, not how fast it is."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.redirect", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help=QUICK_HELP)
    options = parser.parse_args(arguments)
    return run(partial(_measure, quick=options.quick), rabbitmq=False)


@dataclass
class Links:
    """The links that there are, and what following them took."""

    new: list[str]
    few: list[str]
    webs: dict[str, Web]
    visited: int = 0
    """By the product, which must make a click of each."""
    times: dict[str, Times] = field(default_factory=lambda: {kind: Times() for kind in KINDS})
    rates: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    cpu: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))

    def follow(self, kind: str, count: int) -> tuple[float, list[float]]:
        """Follow so many; the seconds in all and of each."""
        if kind == "again":
            tokens = [self.few[number % FEW] for number in range(count)]
        else:
            tokens = [self.new.pop() for _ in range(count)]
        self.visited += count if kind != "plain" else 0
        return visitors.visit(self.webs[kind].url, tokens, CONNECTIONS)

    def measure(self, kind: str, count: int) -> None:
        """Follow so many and keep what that took."""
        worker = self.webs[kind].worker
        gc.collect()
        before = usage.cpu_seconds(worker)
        seconds, each = self.follow(kind, count)
        self.cpu[kind] += usage.cpu_seconds(worker) - before
        self.times[kind].seconds += each
        self.rates[kind].append(count / seconds)


def _measure(services: Services, stack: contextlib.ExitStack, *, quick: bool) -> None:
    django.setup()
    logging.disable(logging.INFO)  # its lines would break the progress bars
    from tests.benchmarks.machine import machine

    rounds, visits = QUICK if quick else (ROUNDS, VISITS)
    ours = stack.enter_context(services.web("web", "threadsagent.settings"))
    plain = stack.enter_context(services.web("plain", "tests.benchmarks.plain_redirect_settings"))
    tokens = _messages(2 * (rounds * visits + WARM_UP) + FEW)
    webs = {"new": ours, "again": ours, "plain": plain}
    links = Links(tokens[FEW:], tokens[:FEW], webs)
    figures = Figures(machine(quick=quick))
    for kind in KINDS:
        links.follow(kind, WARM_UP)  # every thread has its connections then
    gc.disable()
    for _ in progress(range(rounds), "rounds"):
        for kind in KINDS:
            links.measure(kind, visits)
    for kind in KINDS:
        _add(figures, kind, links)
    figures["redirect_new_times_plain"] = figures.number("redirect_new_per_s") / figures.number(
        "redirect_plain_per_s"
    )
    _count_clicks(figures, links.visited)
    sys.stdout.write(_table(figures))
    sys.stdout.write(f"{json.dumps(figures.rounded())}\n")


def _add(figures: Figures, kind: str, links: Links) -> None:
    times, rates = links.times[kind], links.rates[kind]
    figures[f"redirect_{kind}_per_s"] = statistics.median(rates)
    figures[f"redirect_{kind}_slowest_round_per_s"] = min(rates)
    figures[f"redirect_{kind}_median_ms"] = 1_000 * times.median
    figures[f"redirect_{kind}_p95_ms"] = 1_000 * times.p95
    figures[f"redirect_{kind}_n"] = len(times.seconds)
    figures[f"redirect_{kind}_cpu_ms"] = 1_000 * links.cpu[kind] / len(times.seconds)
    figures[f"redirect_{kind}_rss_mb"] = usage.memory(links.webs[kind].worker, "VmRSS")


def _messages(count: int) -> list[str]:
    """Sent messages in the database, and their tokens."""
    from django.core.management import call_command
    from django.utils import timezone

    from comments.partitions import id_at
    from dmtrigger import links
    from dmtrigger.models import Account, Campaign, DirectMessage
    from dmtrigger.states import State

    call_command("migrate", verbosity=0)
    now = timezone.now()
    account = Account.objects.create(source="fake_platform")
    campaign = Campaign.objects.create(name="benchmark", link="https://shop.example/backpack")
    first = id_at(now)
    DirectMessage.objects.bulk_create(
        (
            DirectMessage(
                comment_id=first + number,
                external_id=f"c{number}",
                source=account.source,
                post_id="p",
                posted_at=now,
                expires_at=now,
                account=account,
                campaign=campaign,
                recipient=f"user{number}",
                link=f"{campaign.link}?utm_source=threads&utm_content=A",
                state=State.SENT,
                sent_at=now,
            )
            for number in range(count)
        ),
        batch_size=1_000,
    )
    return [links.token_of(first + number) for number in range(count)]


def _count_clicks(figures: Figures, visited: int) -> None:
    """Every visit must be a click, and none two; storing them is timed too."""
    from dmtrigger import clicks
    from dmtrigger.models import Click

    started = time.perf_counter()
    stored = clicks.store_noted()
    figures["clicks_stored_per_s"] = stored / (time.perf_counter() - started)
    figures["clicks"], figures["clicks_expected"] = Click.objects.count(), visited


def _table(figures: Figures) -> str:
    lines = [heading(f"/r/{{token}}, one gunicorn worker, {CONNECTIONS} connections")]
    lines += [f"{'':<36}{'a second':>10}{'median':>12}{'p95':>12}{'CPU':>12}{'memory':>10}"]
    for kind, what in KINDS.items():
        number = partial(_number, figures, kind)
        lines.append(
            f"{what:<36}{number('per_s'):>10,.0f}{number('median_ms'):>9.2f} ms"
            f"{number('p95_ms'):>9.2f} ms{number('cpu_ms'):>9.2f} ms{number('rss_mb'):>7.0f} MB"
        )
    slowest = min(figures.number(f"redirect_{k}_per_s") for k in ("new", "again"))
    verdict = "reached" if slowest >= GOAL else "MISSED"
    lines.append(f"goal: {GOAL:,} a second: {verdict}")
    lines.append(
        f"clicks: {figures['clicks']:,} stored of {figures['clicks_expected']:,}, "
        f"{figures.number('clicks_stored_per_s'):,.0f} a second"
    )
    return "\n".join(lines) + "\n"


def _number(figures: Figures, kind: str, name: str) -> float:
    return figures.number(f"redirect_{kind}_{name}")


if __name__ == "__main__":
    sys.exit(main())
