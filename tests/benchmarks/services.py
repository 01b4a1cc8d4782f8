"""Everything that a measurement needs, started from nothing and removed at the end.

PostgreSQL (durable, in the folder where `make run` keeps its data), Valkey, RabbitMQ, and two web
processes: the product's, and one that serves the spec's approach. No Celery worker: it would take
the processors from what is measured.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

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
from threadsagent.run.processes import ROOT, STATE

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
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if len(children) == 1 else None

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
class Services:
    """The running servers, and a folder for the logs."""

    postgres: Server
    broker_url: str
    folder: Path

    @contextlib.contextmanager
    def web(self, name: str, settings: str) -> Iterator[Web]:
        """gunicorn, as in production but for the number of workers."""
        log, address = self.folder / f"{name}.log", f"127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "gunicorn", "threadsagent.wsgi"]
        command += ["-c", "threadsagent/gunicorn.py", "--bind", address]
        with log.open("wb") as output:
            process = subprocess.Popen(
                guarded(command),
                cwd=ROOT,
                env=os.environ | {"DJANGO_SETTINGS_MODULE": settings},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            url = f"http://{address}"
            eventually(lambda: answers(f"{url}/health/live"), name, log=log)
            yield Web(url, process)
        finally:
            _stop(process)


@contextlib.contextmanager
def running() -> Iterator[Services]:
    """Start the servers and name them in the environment. Raises StartError."""
    program = find_program(RABBITMQ)
    if program is None:
        raise StartError("This needs RabbitMQ: apt-get install rabbitmq-server")
    with contextlib.ExitStack() as stack:
        folder = _folder(stack)
        postgres = start_postgres(folder / "postgres")
        stack.callback(postgres.stop)
        valkey = start_valkey(folder / "valkey", durable=False)  # a cache, as in production
        stack.callback(valkey.stop)
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
