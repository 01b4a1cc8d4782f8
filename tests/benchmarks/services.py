"""Everything that a measurement needs, started from nothing and removed at the end.

PostgreSQL (durable, in the folder where `make run` keeps its data), Valkey, a broker, and the
product's processes that are measured, no others: they would take the processors from these.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.benchmarks import usage
from tests.integration.processes import answers, eventually
from tests.services import RABBITMQ, find_program, private_rabbitmq
from threadsagent.embedded import (
    Server,
    StartError,
    free_port,
    guarded,
    start_postgres,
    start_valkey,
)
from threadsagent.run.processes import QUIET_WORKER, ROOT, STATE

STOP_SECONDS = 20
CALL_SECONDS = 120
# A server closes connections that are idle for two seconds; ours are given up before, so that no
# call meets one that is just being closed.
KEEPALIVE_SECONDS = 1.0


@dataclass(frozen=True)
class Web:
    """A web process with one worker."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def worker(self) -> int:
        """The worker's process id, once there is exactly one."""
        return eventually(self._worker, "one gunicorn worker")

    def _worker(self) -> int | None:
        children = usage.children(self.process.pid)
        return children[0] if len(children) == 1 else None

    def client(self, token: str) -> httpx.Client:
        """A client that keeps its connections."""
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Token {token}", "Content-Type": "application/json"},
            timeout=CALL_SECONDS,
            limits=httpx.Limits(keepalive_expiry=KEEPALIVE_SECONDS),
            trust_env=False,
        )


@dataclass(frozen=True)
class Worker:
    """A Celery worker: its parent's process id, the folder of its metrics, its log."""

    pid: int
    metrics: Path
    log: Path

    @property
    def pool(self) -> list[int]:
        """The ids of the processes that do the tasks."""
        return usage.children(self.pid)


@dataclass(frozen=True)
class Services:
    """The running servers, and a folder for the logs."""

    postgres: Server
    broker_url: str
    folder: Path

    @contextlib.contextmanager
    def web(self, name: str, settings: str) -> Iterator[Web]:
        """gunicorn, as in production but for the number of workers."""
        address = f"127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "gunicorn", "threadsagent.wsgi"]
        command += ["-c", "threadsagent/gunicorn.py", "--bind", address]
        with self._process(name, command, DJANGO_SETTINGS_MODULE=settings) as process:
            url = f"http://{address}"
            log = self.folder / f"{name}.log"
            eventually(lambda: answers(f"{url}/health/live"), name, log=log)
            yield Web(url, process)

    @contextlib.contextmanager
    def worker(self, cores: Collection[int], queue: str = "analyze") -> Iterator[Worker]:
        """A Celery worker that analyses (or serves another queue), with one process for each of
        the cores, pinned to them."""
        metrics = Path(tempfile.mkdtemp(prefix="metrics-", dir=self.folder))
        command = [sys.executable, "-m", "celery", "-A", "threadsagent", "worker", *QUIET_WORKER]
        command += ["-Q", queue, "-c", str(len(cores)), "-n", f"{queue}@%h"]
        with self._process(
            queue, pinned(command, cores), PROMETHEUS_MULTIPROC_DIR=str(metrics)
        ) as process:
            log = self.folder / f"{queue}.log"
            worker = Worker(process.pid, metrics, log)
            eventually(lambda: len(worker.pool) == len(cores), "the worker's processes", log=log)
            yield worker

    @contextlib.contextmanager
    def fake_platform(self, data: Path) -> Iterator[None]:
        """The fake platform at FAKE_PLATFORM_URL, with its state in a file."""
        url = os.environ["FAKE_PLATFORM_URL"]
        command = [sys.executable, "manage.py", "fake_platform", "--data", str(data)]
        with self._process("platform", [*command, "--port", url.rpartition(":")[2]]):
            log = self.folder / "platform.log"
            eventually(lambda: answers(f"{url}/health"), "the fake platform", log=log)
            yield

    @contextlib.contextmanager
    def _process(
        self, name: str, command: list[str], **environment: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / f"{name}.log").open("wb") as output:
            process = subprocess.Popen(
                guarded(command),
                cwd=ROOT,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            _stop(process)


def pinned(command: list[str], cores: Collection[int]) -> list[str]:
    """`command`, changed so that it and what it starts run on these cores only."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]


@contextlib.contextmanager
def running(*, rabbitmq: bool) -> Iterator[Services]:
    """Start the servers and name them in the environment; without RabbitMQ, Valkey is the broker.

    Raises StartError.
    """
    program = find_program(RABBITMQ)
    if rabbitmq and program is None:
        raise StartError("This needs RabbitMQ: apt-get install rabbitmq-server")
    with contextlib.ExitStack() as stack:
        folder = _folder(stack)
        postgres = start_postgres(folder / "postgres")
        stack.callback(postgres.stop)
        valkey = start_valkey(folder / "valkey", durable=False)  # a cache, as in production
        stack.callback(valkey.stop)
        broker_url = urlsplit(valkey.url)._replace(path="/1").geturl()
        if rabbitmq and program:
            broker_url = stack.enter_context(private_rabbitmq(program))
        _set_environment(
            DATABASE_URL=postgres.url, REDIS_URL=valkey.url, CELERY_BROKER_URL=broker_url
        )
        yield Services(postgres, broker_url, folder)


def _folder(stack: contextlib.ExitStack) -> Path:
    """A folder on the disk that `make run` uses; what a killed run leaves, `make clean` removes."""
    # As root the servers run as another user, who has to pass through to their own folders.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    STATE.mkdir(mode=mode, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="benchmark-", dir=STATE))
    stack.callback(shutil.rmtree, folder)
    folder.chmod(mode)
    return folder


def _set_environment(**servers: str) -> None:
    """The product's settings, all others at their defaults, whatever this was started with."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    os.environ.clear()
    os.environ.update(kept | servers)
    os.environ.update(
        DJANGO_SETTINGS_MODULE="threadsagent.settings",
        SECRET_KEY="only-for-benchmarks",
        HF_HUB_OFFLINE="1",  # the models come with the packages
        WEB_CONCURRENCY="1",
        RATE_LIMIT_PER_MINUTE="1000000",
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
