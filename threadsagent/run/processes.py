"""The processes of a run: started, watched, ended in order; and where their state is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from threadsagent.embedded import Server, guarded, last_lines

ROOT = Path(__file__).resolve().parent.parent.parent
STATE = ROOT / ".data"
LOGS = STATE / "logs"
STOP_SECONDS = 20.0
# Nobody listens to what workers tell each other, and telling it hangs a worker whose broker dies
# while it stops.
QUIET_WORKER = ("--without-heartbeat", "--without-gossip", "--without-mingle")


class RunError(RuntimeError):
    """The system cannot run, or go on running. The message is for the person who started it."""


class StopRequested(Exception):
    """Ctrl-C, or a signal that means the same."""


@dataclass
class Child:
    """A process of the system, its log, and the end it is given."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, name: str, arguments: list[str], env: dict[str, str]) -> Child:
        """Start `python ARGUMENTS` with its output in `.data/logs/NAME.log`."""
        log = LOGS / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                guarded([sys.executable, *arguments], "KILL"),
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us, who stop the children in order
            )
        return cls(name, process, log)

    def ended(self) -> bool:
        """Whether the process is over. It is not reaped: its number stays its own until `stop`."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, options) is not None

    def stop(self) -> None:
        """Ask the process to end; after `STOP_SECONDS`, kill it and all it has started."""
        if not self.ended():
            os.kill(self.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while not self.ended() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(self.process.pid, signal.SIGKILL)  # also what a crashed parent left behind
        self.process.wait()


@dataclass
class Watch:
    """What must stay alive, and whether somebody wants the run to end."""

    stop_requested: bool = False
    servers: list[Server] = field(default_factory=list)
    children: list[Child] = field(default_factory=list)

    def listen(self) -> None:
        """Take note of Ctrl-C and its like; while all is being stopped they change nothing."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._request_stop)

    def _request_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_requested = True

    def check(self) -> None:
        """Raises `StopRequested`, or `RunError` when something ended that should run."""
        if self.stop_requested:
            raise StopRequested
        for server in self.servers:
            if server.process.poll() is not None:
                raise RunError(obituary(server.name, server.log))
        for child in self.children:
            if child.ended():
                raise RunError(obituary(child.name, child.log))

    def pause(self, seconds: float) -> None:
        """Sleep, and keep checking."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, 0.1))


def run_manage(env: dict[str, str], watch: Watch, *arguments: str) -> str:
    """Run a management command to its end; the result is its standard output."""
    log = LOGS / f"{arguments[0]}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            guarded([sys.executable, "manage.py", *arguments]),
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    output = None
    try:
        while output is None:
            watch.check()
            with contextlib.suppress(subprocess.TimeoutExpired):
                output = process.communicate(timeout=0.1)[0]
    except BaseException:
        process.kill()
        process.communicate()
        raise
    if process.returncode != 0:
        raise RunError(f"manage.py {arguments[0]} failed. {end_of(log)}")
    return output


def obituary(name: str, log: Path) -> str:
    """What to say of a process that ended by itself."""
    return f"{name} has stopped unexpectedly. {end_of(log)}"


def end_of(log: Path) -> str:
    """The last lines of a log, introduced."""
    return f"The end of {log}:\n{last_lines(log)}"
