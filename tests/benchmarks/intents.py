"""How fast comments are analysed: `make bench-intents`, or `python -m tests.benchmarks.intents`.

Starts PostgreSQL, Valkey and Celery workers, measures these beside all-MiniLM-L6-v2 alone, prints
a table and a last line of JSON with all figures, and removes everything again. It takes about 20
minutes on two quiet cores. docs/benchmarks.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import django
import msgspec

from tests.benchmarks import encoding, intents_report, stages, streams
from tests.benchmarks.bench import progress
from tests.benchmarks.command import QUICK_HELP, run
from tests.benchmarks.figures import Figures, Times, Value
from tests.benchmarks.intents_report import BASELINES, CORES, WORKER
from tests.benchmarks.services import Services, pinned
from tests.benchmarks.streams import Stream
from threadsagent.embedded import StartError, guarded
from threadsagent.run.processes import ROOT

if TYPE_CHECKING:  # Django's settings need the addresses of what is started here
    from tests.benchmarks.analysing import Analysed

Report = TypeVar("Report", encoding.Report, stages.Report)


@dataclass(frozen=True)
class Scale:
    """How much is measured: comments of a stream, and of these for the baselines."""

    repetitions: int = 3
    real: int = 8_000
    short: int = 10_000
    one_by_one: int = 600
    batched: int = 2_000


QUICK = Scale(1, 1_500, 1_500, 100, 300)


@dataclass(frozen=True)
class Job:
    """One thing to measure: an approach to a stream on so many cores."""

    stream: Stream
    approach: str
    cores: int

    @property
    def name(self) -> str:
        return f"{self.stream.name}_{self.approach}_{self.cores}core"

    def comments(self, scale: Scale) -> int:
        """The baselines are the same all along the stream: they are given its beginning."""
        whole = len(self.stream.comments)
        return {"one_by_one": scale.one_by_one, "batched": scale.batched}.get(self.approach, whole)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code says whether it was measured, not how fast it is."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.intents", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=QUICK_HELP)
    parser.add_argument(
        "--real",
        type=Path,
        metavar="FILE",
        help="a stream of real comments: JSON lines with id, post_id, text, author, timestamp;"
        " without it only short ones, made of those in the repository, are analysed",
    )
    options = parser.parse_args(arguments)
    return run(partial(_measure, options.real, quick=options.quick), rabbitmq=False)


def _measure(
    real: Path | None, services: Services, _stack: contextlib.ExitStack, *, quick: bool
) -> None:
    django.setup()
    logging.disable(logging.INFO)  # its lines would break the progress bars
    started = time.monotonic()
    scale = QUICK if quick else Scale()
    if len(os.sched_getaffinity(0)) < max(CORES):
        raise StartError(f"This needs {max(CORES)} cores.")
    found = [streams.real(real, scale.real)] if real else []
    found.append(streams.short(scale.short))
    _prepare_database()
    figures = Figures(_conditions(found, quick=quick))
    for stream in progress([*found, streams.short_unseen(scale.short)], "first stage"):
        _compare_stages(figures, stream)
    _measure_approaches(figures, services, found, scale)
    figures["seconds_in_all"] = time.monotonic() - started
    sys.stdout.write(intents_report.render(figures))
    sys.stdout.write(f"{json.dumps(figures.rounded())}\n")


def _prepare_database() -> None:
    from django.core.management import call_command

    from comments.signals import comments_stored

    call_command("migrate", verbosity=0)
    # The workers are woken when all is stored, not while it is: storing is no part of this.
    comments_stored.disconnect(dispatch_uid="intents.wake_analysis")


def _conditions(found: Sequence[Stream], *, quick: bool) -> dict[str, Value]:
    from intents.classifier import MODEL_DIR, read_card
    from tests.benchmarks.machine import machine

    return machine(quick=quick) | {
        "model": read_card(MODEL_DIR)["version"],
        "streams": " ".join(stream.name for stream in found),
    }


def _compare_stages(figures: Figures, stream: Stream) -> None:
    """What the first stage spares and changes."""
    from django.conf import settings

    task = stages.Task(stream.texts, settings.COMMENT_BATCH_SIZE, settings.REVIEW_MIN_SCORE)
    report = _ask("tests.benchmarks.stages", task, stages.Report, 1)
    figures |= {f"{stream.name}_{key}": value for key, value in msgspec.to_builtins(report).items()}
    words = [len(text.split()) for text in stream.texts]
    figures |= {
        f"{stream.name}_comments": len(words),
        f"{stream.name}_repeats_percent": 100 * (1 - report.distinct_texts / len(words)),
        f"{stream.name}_mean_words": statistics.mean(words),
    }


def _measure_approaches(
    figures: Figures, services: Services, found: Sequence[Stream], scale: Scale
) -> None:
    """Our worker and the baselines, in turns of random order."""
    jobs = [
        Job(stream, approach, cores)
        for stream in found
        for approach in (WORKER, *BASELINES)
        for cores in CORES
    ]
    rng = random.Random(1)  # noqa: S311 - to be reproducible, not secret
    results: dict[Job, list[Analysed | encoding.Report]] = defaultdict(list)
    order = [job for _ in range(scale.repetitions) for job in rng.sample(jobs, len(jobs))]
    for job in progress(order, "worker and baselines"):
        results[job].append(_do(job, services, scale))
    for job in jobs:
        _add(figures, job.name, results[job], job.comments(scale))
    for job in jobs:
        if job.approach != WORKER:
            _compare(figures, job.stream, job.approach, job.cores)


def _do(job: Job, services: Services, scale: Scale) -> Analysed | encoding.Report:
    from tests.benchmarks.analysing import analyse

    if job.approach == WORKER:
        return analyse(services, job.stream, _cores(job.cores))
    task = encoding.Task(
        texts=job.stream.texts[: job.comments(scale)],
        one_by_one=job.approach == "one_by_one",
        one_thread=job.cores == 1,
    )
    return _ask("tests.benchmarks.encoding", task, encoding.Report, job.cores)


def _cores(count: int) -> list[int]:
    return sorted(os.sched_getaffinity(0))[-count:]


def _ask(module: str, task: msgspec.Struct, answer: type[Report], cores: int) -> Report:
    """Run a module in a process of its own on so many cores."""
    command = pinned([sys.executable, "-m", module], _cores(cores))
    result = subprocess.run(
        guarded(command, "KILL"),
        cwd=ROOT,
        input=msgspec.json.encode(task),
        stdout=subprocess.PIPE,
        check=True,
        start_new_session=True,
    )
    return msgspec.json.decode(result.stdout, type=answer)


def _add(
    figures: Figures, name: str, results: Sequence[Analysed | encoding.Report], comments: int
) -> None:
    """The median of the repetitions, and of memory and what the slowest did the worst."""
    from tests.benchmarks.analysing import Analysed

    times = Times([result.seconds for result in results])
    figures.add_times(name, times, comments)
    figures[f"{name}_worst_comments_per_s"] = comments / max(times.seconds)
    figures[f"{name}_cpu_s_per_1000"] = _per_1000([r.cpu_seconds for r in results], comments)
    figures[f"{name}_memory_mb"] = max(result.memory_mb for result in results)
    ours = [result for result in results if isinstance(result, Analysed)]
    if ours:
        figures[f"{name}_postgres_cpu_s_per_1000"] = _per_1000(
            [result.postgres_cpu_seconds for result in ours], comments
        )
        for kind in ours[0].answered:
            share = statistics.median(result.answered[kind] for result in ours) / comments
            figures[f"{name}_answered_{kind}_percent"] = 100 * share


def _compare(figures: Figures, stream: Stream, baseline: str, cores: int) -> None:
    """How many times as many comments a second our worker analyses, and on how much less CPU."""
    ours, theirs = (f"{stream.name}_{approach}_{cores}core" for approach in (WORKER, baseline))
    number = figures.number
    figures[f"{ours}_times_{baseline}"] = number(f"{ours}_comments_per_s") / number(
        f"{theirs}_comments_per_s"
    )
    figures[f"{ours}_cpu_times_less_than_{baseline}"] = number(f"{theirs}_cpu_s_per_1000") / number(
        f"{ours}_cpu_s_per_1000"
    )


def _per_1000(values: list[float], comments: int) -> float:
    return 1_000 * statistics.median(values) / comments


if __name__ == "__main__":
    sys.exit(main())
