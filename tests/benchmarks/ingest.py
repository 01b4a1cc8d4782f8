"""How fast comments come in: `make bench-ingest`, or `python -m tests.benchmarks.ingest`.

Starts PostgreSQL, Valkey, RabbitMQ and a web process with one worker, measures, prints a table
and a last line of JSON with all figures, and removes everything again. It takes about 20 minutes
on two quiet cores. docs/benchmarks.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import django
from kombu import Connection

from tests.benchmarks.command import QUICK_HELP, run
from tests.benchmarks.figures import Value
from tests.benchmarks.services import Services

if TYPE_CHECKING:  # Django's settings need the addresses of what is started here
    from tests.benchmarks.bench import Bench


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code says whether it was measured, not how fast it is."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ingest", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=QUICK_HELP)
    options = parser.parse_args(arguments)
    return run(partial(_measure, quick=options.quick), rabbitmq=True)


def _measure(services: Services, stack: contextlib.ExitStack, *, quick: bool) -> None:
    django.setup()
    logging.disable(logging.INFO)  # its lines would break the progress bars
    from tests.benchmarks import growth, inside, latency, report, writers

    started = time.monotonic()
    bench = _prepare(services, stack, quick=quick)
    bench.figures |= _machine(services, quick=quick)
    gc.disable()  # the measurements collect between them, so that none is longer for it
    latency.measure_calls(bench)
    latency.measure_repolling(bench)
    inside.count_statements(bench)
    inside.measure_deduplication(bench)
    writers.measure_throughput(bench)
    writers.measure_exactness(bench)
    growth.measure_growth(bench)
    inside.measure_memory(bench)
    growth.measure_retirement(bench)
    bench.figures["seconds_in_all"] = time.monotonic() - started
    sys.stdout.write(report.render(bench.figures))
    sys.stdout.write(f"{json.dumps(bench.figures.rounded())}\n")


def _prepare(services: Services, stack: contextlib.ExitStack, *, quick: bool) -> Bench:
    """Tables, a client's token, and the two web processes."""
    from django.conf import settings
    from django.core.management import call_command

    from tests.benchmarks.bench import QUICK, Bench, Scale
    from tests.benchmarks.copying import Copy

    call_command("migrate", verbosity=0)
    token = _token()
    web = stack.enter_context(services.web("web", "threadsagent.settings"))
    spec = stack.enter_context(services.web("spec", "tests.benchmarks.spec_settings"))
    copy = stack.enter_context(contextlib.closing(Copy(services.postgres.url)))
    return Bench(
        services=services,
        web=web,
        api=stack.enter_context(web.client(token)),
        spec_api=stack.enter_context(spec.client(token)),
        copy=copy,
        source=settings.COMMENT_SOURCE,
        scale=QUICK if quick else Scale(),
    )


def _token() -> str:
    """The token of a user who may hand in comments, and nothing else."""
    from django.contrib.auth.models import Permission
    from knox.models import AuthToken

    from threadsagent.models import User

    user = User.objects.create(username="benchmark")
    user.user_permissions.add(Permission.objects.get(codename="add_comment"))
    return str(AuthToken.objects.create(user)[1])


def _machine(services: Services, *, quick: bool) -> dict[str, Value]:
    from tests.benchmarks.machine import machine

    with Connection(services.broker_url) as broker:
        rabbitmq = broker.connection.server_properties["version"]
    return machine(quick=quick) | {"rabbitmq": rabbitmq}


if __name__ == "__main__":
    sys.exit(main())
