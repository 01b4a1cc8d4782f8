"""Start the system's own processes for a test, on the test's database."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx
from django.db import connection

from threadsagent.embedded import free_port
from threadsagent.run.processes import QUIET_WORKER

ROOT = Path(__file__).parents[2]
Found = TypeVar("Found")


def database_url() -> str:
    """The URL of the database that the running test uses."""
    s = connection.settings_dict
    user, password = quote(s["USER"], safe=""), quote(s["PASSWORD"], safe="")
    return f"postgres://{user}:{password}@{s['HOST']}:{s['PORT']}/{s['NAME']}"


@contextmanager
def process(log: Path, *command: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python module with arguments from the project's folder; its output goes to `log`."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=os.environ | env,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that a test can kill it with all its children
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def eventually(
    look: Callable[[], Found | None], what: str, seconds: float = 60, log: Path | None = None
) -> Found:
    """What `look` finds, as soon as it finds something; an error that shows the log otherwise."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    tail = log.read_text(errors="replace")[-4000:] if log else ""
    raise AssertionError(f"not within {seconds:.0f} s: {what}\n{tail}")


@contextmanager
def web_process(folder: Path, **env: str) -> Iterator[str]:
    """The web process on the test's database; its address."""
    url, log = f"http://127.0.0.1:{free_port()}", folder / "web.log"
    bind = url.removeprefix("http://")
    command = ("gunicorn", "threadsagent.wsgi", "-c", "threadsagent/gunicorn.py", "-b", bind)
    env = {"DATABASE_URL": database_url(), "WEB_CONCURRENCY": "1"} | env
    with process(log, *command, **env):
        eventually(lambda: answers(f"{url}/health/live"), "web", log=log)
        yield url


def worker_process(
    log: Path,
    *arguments: str,
    queues: str = "analyze,default,send,poll",
    children: str = "1",
    **env: str,
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A Celery worker, for all queues unless it is said which."""
    worker = ("celery", "-A", "threadsagent", "worker", "-Q", queues, "-c", children)
    return process(log, *worker, *QUIET_WORKER, *arguments, **env)


def beat_process(folder: Path, **env: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """The scheduler, with its schedule and its log in the folder."""
    schedule = str(folder / "schedule")
    beat = ("celery", "-A", "threadsagent", "beat", "--schedule", schedule)
    return process(folder / "beat.log", *beat, **env)


@contextmanager
def fake_platform_process(folder: Path) -> Iterator[str]:
    """The fake platform, empty; its address."""
    port, log = str(free_port()), folder / "fake.log"
    url = f"http://127.0.0.1:{port}"
    with process(log, "manage", "fake_platform", "--port", port, DATABASE_URL=database_url()):
        eventually(lambda: answers(f"{url}/health"), "fake platform", log=log)
        yield url


def answers(url: str) -> bool:
    """Whether something answers there with a success."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False
