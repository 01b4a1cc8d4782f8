"""How soon messages leave: `make bench-dm`, or `python -m tests.benchmarks.messages`.

Starts PostgreSQL, Valkey, the fake platform, web process and Celery workers, measures, prints a
table and a last line of JSON with all figures, and removes everything again. It takes about
eight minutes on two quiet cores. docs/benchmarks.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import django

from tests.benchmarks import usage
from tests.benchmarks.bench import progress
from tests.benchmarks.command import QUICK_HELP, run
from tests.benchmarks.figures import Figures
from tests.benchmarks.services import Services, Worker
from threadsagent.embedded import free_port, guarded
from threadsagent.run.processes import ROOT

if TYPE_CHECKING:  # Django's settings need the addresses of what is started here
    from pathlib import Path

    from intents.models import Review
    from tests.benchmarks import sending

APPROVALS_A_SECOND = 50
COMMENTS_A_SECOND = 200
AUTO_THRESHOLD = 60
WARM_UP = 40  # messages
REDIRECT = "tests.benchmarks.redirect"


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int = 3
    approvals: int = 400  # of each approach in a round
    comments: int = 4_000
    burst: int = 10_000
    limit: int = 750


QUICK = Scale(1, 100, 400, 200, 60)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code says whether it was measured, not how fast it is."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.messages", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help=QUICK_HELP)
    options = parser.parse_args(arguments)
    return run(partial(_measure, quick=options.quick), rabbitmq=False)


def _measure(services: Services, _stack: contextlib.ExitStack, *, quick: bool) -> None:
    os.environ.update(
        FAKE_PLATFORM_URL=f"http://127.0.0.1:{free_port()}",
        MESSAGES_PER_HOUR="0",  # the platform's limit alone
        GRACE_SECONDS="0",
    )
    django.setup()
    logging.disable(logging.INFO)  # its lines would break the progress bars
    from django.core.management import call_command

    from tests.benchmarks import messages_report
    from tests.benchmarks.machine import machine

    started = time.monotonic()
    scale = QUICK if quick else Scale()
    call_command("migrate", verbosity=0)
    figures = Figures(machine(quick=quick))
    _measure_approvals(figures, services, scale)
    _measure_arrivals(figures, services, scale)
    _measure_pace(figures, scale)
    figures |= _redirect(quick=quick)
    figures["seconds_in_all"] = time.monotonic() - started
    sys.stdout.write(messages_report.render(figures))
    sys.stdout.write(f"{json.dumps(figures.rounded())}\n")


def _measure_approvals(figures: Figures, services: Services, scale: Scale) -> None:
    """From an approval to the ledger, and two baselines, in turns of random order."""
    from tests.benchmarks import buyers, sending

    count = scale.rounds * len(sending.APPROACHES) * scale.approvals + WARM_UP
    names = [f"a{number}" for number in range(count)]
    data = services.folder / "approvals.sqlite3"
    buyers.put_on_platform(data, ((name, f"buyer of {name}") for name in names))
    buyers.make_campaign()
    waiting = buyers.make_reviews(names)
    found = {approach: sending.Sent() for approach in sending.APPROACHES}
    rng = random.Random(1)  # noqa: S311 - to be reproducible, not secret
    order = [a for _ in range(scale.rounds) for a in rng.sample(list(found), len(found))]
    with services.fake_platform(data), services.worker(_cores(), "send") as sender:
        _take(waiting, WARM_UP, "approve", data, sender, sending.Sent())
        for approach in progress(order, "approvals and baselines"):
            _take(waiting, scale.approvals, approach, data, sender, found[approach])
        figures["approve_sender_memory_mb"] = _memory(sender)
    for approach, sent in found.items():
        _add_sent(figures, approach, sent)
    figures["approve_asked_per_s"] = APPROVALS_A_SECOND
    figures["polled_times_approve_median"] = figures.ratio("polled", "approve")
    figures["approve_times_direct_median"] = figures.ratio("approve", "direct")


def _take(
    waiting: list[Review],
    count: int,
    approach: str,
    data: Path,
    sender: Worker,
    sent: sending.Sent,
) -> None:
    from tests.benchmarks import sending

    chosen = [waiting.pop() for _ in range(count)]
    sending.approve(approach, chosen, APPROVALS_A_SECOND, data, sender, sent)


def _measure_arrivals(figures: Figures, services: Services, scale: Scale) -> None:
    """From `POST /comments/process` to the ledger, by an automatic campaign."""
    from dmtrigger.models import Campaign
    from tests.benchmarks import analysing, buyers, sending, streams

    comments = streams.short(scale.comments).comments
    data = services.folder / "arrivals.sqlite3"
    buyers.put_on_platform(data, ((c["id"], c["author"]) for c in comments))
    with contextlib.ExitStack() as stack:
        start = stack.enter_context
        start(services.fake_platform(data))
        web = start(services.web("web", "threadsagent.settings"))
        analysis = start(services.worker(_cores()))
        sender = start(services.worker(_cores(), "send"))
        analysing.warm_up(analysis)  # while no campaign is automatic
        Campaign.objects.update(auto_threshold=AUTO_THRESHOLD)
        through = sending.Arrival(web, _token(), analysis, sender)
        found = sending.arrive(comments, COMMENTS_A_SECOND, data, through)
        figures["arrive_web_memory_mb"] = usage.memory(web.worker, "VmHWM")
        figures["arrive_analysis_memory_mb"] = _memory(analysis)
        figures["arrive_sender_memory_mb"] = _memory(sender)
    _add_sent(figures, "arrive", found.sent)
    figures |= {
        "arrive_comments": len(comments),
        "arrive_asked_per_s": COMMENTS_A_SECOND,
        "arrive_messages": found.messages,
        "arrive_call_median_s": found.calls.median,
        "arrive_call_p95_s": found.calls.p95,
        "arrive_web_cpu_s_per_1000_comments": 1_000 * found.web_cpu_s / len(comments),
        "arrive_analysis_cpu_s_per_1000_comments": 1_000 * found.analysis_cpu_s / len(comments),
    }


def _add_sent(figures: Figures, name: str, sent: sending.Sent) -> None:
    figures |= {
        f"{name}_median_s": sent.times.median,
        f"{name}_p95_s": sent.times.p95,
        f"{name}_slowest_s": max(sent.times.seconds),
        f"{name}_n": len(sent.times.seconds),
        f"{name}_late_s": sent.late_s,
        f"{name}_drained_s": sent.drained_s,
        f"{name}_sender_cpu_s_per_1000": 1_000 * sent.sender_cpu_s / len(sent.times.seconds),
    }


def _measure_pace(figures: Figures, scale: Scale) -> None:
    """An account's hours by a virtual clock."""
    from tests.benchmarks import pace

    for _ in progress([scale.burst], "pace, by a virtual clock"):
        found = asdict(pace.burst(scale.burst, scale.limit)) | asdict(pace.slow_down(scale.limit))
    figures["pace_messages"], figures["pace_limit"] = scale.burst, scale.limit
    figures |= {f"pace_{name}": value for name, value in found.items()}
    figures["pace_beyond_limit"] = max(0, found["most_in_an_hour"] - scale.limit)


def _redirect(*, quick: bool) -> dict[str, float]:
    """The figures of the short links, which have a benchmark of their own."""
    if importlib.util.find_spec(REDIRECT) is None:
        return {}
    command = [sys.executable, "-m", REDIRECT, *(["--quick"] if quick else [])]
    result = subprocess.run(
        guarded(command), cwd=ROOT, stdout=subprocess.PIPE, check=True, start_new_session=True
    )
    told: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    figures = {name: value for name, value in told.items() if name.startswith("redirect_")}
    slowest = min(figures["redirect_new_per_s"], figures["redirect_again_per_s"])
    return figures | {"redirect_slowest_per_s": slowest}


def _token() -> str:
    """The token of a user who may hand in comments, and nothing else."""
    from django.contrib.auth.models import Permission
    from knox.models import AuthToken

    from threadsagent.models import User

    user = User.objects.create(username="benchmark")
    user.user_permissions.add(Permission.objects.get(codename="add_comment"))
    return str(AuthToken.objects.create(user)[1])


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _memory(worker: Worker) -> float:
    """Of the largest of the processes that do the tasks, in MB."""
    return max(usage.memory(pid, "VmHWM") for pid in worker.pool)


if __name__ == "__main__":
    sys.exit(main())
