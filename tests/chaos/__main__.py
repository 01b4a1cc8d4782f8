"""Sends thousands of messages while everything breaks: `make chaos-dm`, or `python -m tests.chaos`.

Starts PostgreSQL, a broker, workers that send and the fake platform; kills, cuts off and confuses
them by a seeded plan while messages are approved; then compares the platform's ledger with the
outbox. Ends with 1 and a list when a message was lost, or sent twice, or is nowhere explained. The
last line is JSON. docs/benchmarks.md says more.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import django

from tests.benchmarks.command import run
from tests.benchmarks.figures import Figures, heading
from tests.benchmarks.services import Services
from tests.chaos.faults import PATIENCE, Faults
from tests.chaos.plan import make_plan
from tests.chaos.system import Addresses, running

if TYPE_CHECKING:  # Django's settings need the addresses of what is started here
    from tests.chaos.checking import Verdict
    from tests.chaos.driver import Approvals, Driver

LONG = 60.0  # seconds; a shorter run has no room for answers that do not come at all
STUCK_AFTER, STUCK_AFTER_LONG = 10.0, PATIENCE + 10.0
REST_SECONDS = 420.0  # at most, for what is left to approve, and for all to come to rest


@dataclass(frozen=True)
class Options:
    """The command line."""

    messages: int
    seconds: float
    seed: int

    @classmethod
    def parse(cls, arguments: Sequence[str] | None) -> Options:
        parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
        parser.add_argument("--messages", type=int, default=10_000, help="(default: 10000)")
        parser.add_argument(
            "--seconds",
            type=float,
            default=180.0,
            help="for how long things break (default: 180); then all may come to rest",
        )
        parser.add_argument(
            "--seed",
            type=int,
            default=None,
            help="fixes what breaks when, and the faults; not what it meets (default: a new one)",
        )
        given = parser.parse_args(arguments)
        if given.messages < 1 or given.seconds <= 0:
            parser.error("messages and seconds must be more than nothing")
        seed = secrets.randbelow(10**6) if given.seed is None else given.seed
        return cls(given.messages, given.seconds, seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when nothing is wrong."""
    options = Options.parse(arguments)
    say(f"seed {options.seed}: {options.messages:,} messages, {options.seconds:g} s of trouble")
    found: list[str] = []
    code = run(partial(_run, options, found), rabbitmq=False)
    return code or int(bool(found))


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _run(
    options: Options, found: list[str], services: Services, stack: contextlib.ExitStack
) -> None:
    addresses, data = Addresses.choose(), services.folder / "platform.sqlite3"
    os.environ.update(
        CELERY_BROKER_URL=addresses.broker_url,
        FAKE_PLATFORM_URL=addresses.platform_url,
        MESSAGES_PER_HOUR="0",
        SWEEP_SECONDS="1",
    )
    django.setup()
    from django.core.management import call_command

    from tests.benchmarks import buyers
    from tests.chaos import driver as chaos

    logging.disable(logging.WARNING)  # what breaks here is meant to
    call_command("migrate", verbosity=0)
    buyers.make_campaign()
    names = [f"c{number}" for number in range(options.messages)]
    review_ids = [review.pk for review in buyers.make_reviews(names)]
    buyers.put_on_platform(data, ((name, f"buyer of {name}") for name in names))
    system = stack.enter_context(running(addresses, data, services.folder))

    is_long = options.seconds >= LONG
    chaos.expect_stuck_after(STUCK_AFTER_LONG if is_long else STUCK_AFTER)
    started = time.monotonic()
    deadline = started + options.seconds + REST_SECONDS
    approvals = chaos.Approvals(review_ids, chaos.APPROVING * options.seconds)
    driver = chaos.Driver(system, Faults(addresses.platform_url, options.seed, longest=is_long))
    approvals.start()
    driver.strike(make_plan(options.seed, options.seconds), approvals, deadline)
    trouble = time.monotonic() - started
    came_to_rest = driver.rest(deadline)
    approvals.stop()
    for worker in system.workers:
        worker.kill()  # so that nothing moves while it is compared
    verdict = chaos.compare(approvals.done, data)
    found += verdict.violations
    if not came_to_rest:
        found.append(f"not at rest {REST_SECONDS:g} s after the trouble: is the machine busy?")
    if len(approvals.done) < options.messages:
        found.append(f"only {len(approvals.done)} approved: {approvals.error!r}")
    figures = _figures(options, driver, approvals, verdict)
    figures["seconds_of_trouble"] = trouble
    figures["seconds_to_rest"] = time.monotonic() - started - trouble
    figures["ledger"] = len(buyers.ledger(data))
    figures["violations"] = len(found)
    say(render(figures, found))
    say(json.dumps(figures.rounded()))


def _figures(options: Options, driver: Driver, approvals: Approvals, verdict: Verdict) -> Figures:
    from dmtrigger.retry import Kind
    from dmtrigger.states import State
    from tests.chaos.plan import Blow

    figures = Figures(
        seed=options.seed,
        messages=options.messages,
        approved=len(approvals.done),
        approvals_repeated=approvals.repeated,
    )
    figures |= {f"state_{state}": verdict.states.get(state, 0) for state in State}
    figures |= {f"killed_{blow}": driver.blows[blow] for blow in Blow if blow != Blow.CONNECTIONS}
    figures["cut_times"], figures["cut_connections"] = driver.blows[Blow.CONNECTIONS], driver.cut
    figures["faults"] = driver.faults.queued
    figures["attempts"] = sum(verdict.attempts.values())
    figures |= {f"attempts_{kind}": verdict.attempts.get(kind, 0) for kind in Kind}
    figures |= {
        "rescued": driver.rescued,
        "accounts_resumed": driver.resumed,
        "unknown": verdict.doubts,
        "unknown_settled": verdict.doubts_settled,
        "unknown_for_operator": verdict.waiting_for_operator,
        "sent_on_a_false_word": verdict.taken_at_its_word,
    }
    return figures


def render(figures: Figures, found: Sequence[str]) -> str:
    """The report."""
    f = figures.rounded()

    def each(prefix: str) -> str:
        counts = {k.removeprefix(prefix): v for k, v in f.items() if k.startswith(prefix)}
        return ", ".join(f"{name} {count}" for name, count in counts.items() if count)

    lines = [
        heading(f"{f['messages']:,} messages, seed {f['seed']}"),
        f"  killed        {each('killed_')}",
        f"  cut           {f['cut_connections']} database connections, in {f['cut_times']} blows",
        f"  faults        {f['faults']} answers of the platform, {f['accounts_resumed']} pauses",
        f"  approved      {f['approved']}, {f['approvals_repeated']} of them tried again",
        f"  attempts      {f['attempts']}: {each('attempts_')}",
        f"  states        {each('state_')}",
        f"  in doubt      {f['unknown']}: {f['unknown_settled']} settled by asking,"
        f" {f['unknown_for_operator']} left to an operator; {f['rescued']} of dead workers",
        f"  ledger        {f['ledger']} messages; {f['sent_on_a_false_word']} more are sent"
        " by the platform's (false) word",
        f"  time          {f['seconds_of_trouble']} s of trouble, {f['seconds_to_rest']} s to rest",
        "",
    ]
    lines += [f"  WRONG  {line}" for line in found] or ["  nothing twice, nothing lost"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
