"""What the benchmarks' commands have in common: servers, measuring, Ctrl-C, the exit code."""

import contextlib
import signal
import sys
from collections.abc import Callable
from types import FrameType

from tests.benchmarks.services import Services, running
from threadsagent.embedded import StartError

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

QUICK_HELP = (
    "a few repetitions of little, for working on the measurements: the figures have the same"
    " names and prove nothing"
)


def run(measure: Callable[[Services, contextlib.ExitStack], None], *, rabbitmq: bool) -> int:
    """Start the servers, measure, remove everything again; the result is the exit code.

    It says whether it was measured, not how fast it is.
    """
    for number in STOPPING:
        signal.signal(number, _interrupt)
    try:
        with contextlib.ExitStack() as stack:
            services = stack.enter_context(running(rabbitmq=rabbitmq))
            try:
                measure(services, stack)
            finally:
                _ignore_signals()
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped, everything is removed\n")
        return 130
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _ignore_signals()
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    """From here on what was started is being removed, and nothing interrupts that."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
