"""The command: `python -m threadsagent.run`."""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import json
import os
import secrets
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

import threadsagent.run
from threadsagent.embedded import StartError, free_port, kept_secret, start_postgres, start_valkey
from threadsagent.run.processes import (
    LOGS,
    QUIET_WORKER,
    STATE,
    Child,
    RunError,
    StopRequested,
    Watch,
    run_manage,
)
from threadsagent.run.report import (
    Site,
    fetch_ledger,
    get,
    report,
    say,
    verdict,
    where_to_look,
)

METRICS = STATE / "metrics"
ENVIRONMENT = STATE / "environment"
READY_SECONDS = 120.0


@dataclass(frozen=True)
class Options:
    """The command line."""

    seconds: float | None
    rate: float
    host: str
    port: int

    @classmethod
    def parse(cls, arguments: Sequence[str] | None) -> Options:
        """From the command line's words; ends the process when they make no sense."""
        parser = argparse.ArgumentParser(
            prog="python -m threadsagent.run", description=threadsagent.run.__doc__
        )
        parser.add_argument(
            "--for",
            dest="seconds",
            type=_at_least(30),
            metavar="SECONDS",
            help="end by itself after so long (at least 30: a worker takes 15 to load its model)"
            " and fail unless comments came in and led to messages; default: run until Ctrl-C",
        )
        parser.add_argument(
            "--rate",
            type=_at_least(0.01),
            default=1.0,
            help="sample comments a second (default: 1)",
        )
        parser.add_argument("--host", default="127.0.0.1", help="web address (default: 127.0.0.1)")
        parser.add_argument("--port", type=tcp_port, default=8000, help="web port (default: 8000)")
        return cls(**vars(parser.parse_args(arguments)))


def tcp_port(text: str) -> int:
    """A port of the command line."""
    if not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError("must be from 1 to 65535")
    return int(text)


def _at_least(least: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        return value

    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the system; the result is the process's exit code."""
    options = Options.parse(arguments)
    watch = Watch()
    watch.listen()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_the_only_run())
            return _run(options, stack, watch)
        except StopRequested:
            return 0
        except (RunError, StartError) as error:
            sys.stderr.write(f"{error}\n")
            return 1
        finally:
            if watch.servers or watch.children:
                say("stopping …")


def _run(options: Options, stack: contextlib.ExitStack, watch: Watch) -> int:
    for folder in (LOGS, STATE / "static"):
        folder.mkdir(mode=0o700, exist_ok=True)
    servers = _start_servers(stack, watch)
    env = os.environ | servers
    site = Site(
        web=f"http://{_reachable(options.host)}:{_web_port(options.host, options.port)}",
        fake_platform=f"http://127.0.0.1:{free_port()}",
        metrics_token=_given("METRICS_TOKEN") or secrets.token_hex(16),
        password=kept_secret(STATE / "demo_password", size=8),
    )
    settings = _settings(site, options.host)
    env |= settings
    stack.enter_context(_environment_file(_outside() | servers | settings))
    push_token = _prepare(env, site.password, watch)
    _start_children(options, env, site, push_token, stack, watch)
    say(where_to_look(site))
    counts = report(site, options.seconds, watch)
    return verdict(counts, fetch_ledger(site))


# Getting ready ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _the_only_run() -> Iterator[None]:
    """Holds the lock of the state folder, which ends with this process whatever ends it."""
    # As root the servers run as another user, who has to pass through to their own folders.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        STATE.mkdir(mode=mode, exist_ok=True)
        lock = (STATE / "lock").open("a+")
    except PermissionError as error:
        raise RunError(
            f"{STATE} belongs to another user: run as that user, or remove it."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise RunError(f"ThreadsAgent already runs here (pid {lock.read()}).") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _start_servers(stack: contextlib.ExitStack, watch: Watch) -> dict[str, str]:
    """The variables that name the servers; those that the environment names are not started."""
    env = {}
    if not _given("DATABASE_URL"):
        say("starting PostgreSQL …")
        postgres = start_postgres(STATE / "postgres")
        stack.callback(postgres.stop)
        watch.servers.append(postgres)
        env["DATABASE_URL"] = postgres.url
    redis_url = _given("REDIS_URL")
    if not redis_url:
        say("starting Valkey …")
        valkey = start_valkey(STATE / "valkey")
        stack.callback(valkey.stop)
        watch.servers.append(valkey)
        redis_url = env["REDIS_URL"] = valkey.url
    if not _given("CELERY_BROKER_URL"):
        env["CELERY_BROKER_URL"] = urlsplit(redis_url)._replace(path="/1").geturl()
    return env


def _settings(site: Site, host: str) -> dict[str, str]:
    """The other variables of the child processes."""
    # Metrics are files there, one set for each process; a new run counts from zero.
    if METRICS.exists():
        shutil.rmtree(METRICS)
    METRICS.mkdir(mode=0o700)
    env = {
        "FAKE_PLATFORM_URL": site.fake_platform,
        "FAKE_PLATFORM_APP_SECRET": secrets.token_hex(32),  # both its ends begin with this run
        "METRICS_TOKEN": site.metrics_token,
        "PROMETHEUS_MULTIPROC_DIR": str(METRICS),
        "STATIC_ROOT": str(STATE / "static"),
        "HF_HUB_OFFLINE": "1",  # the model comes with the packages
        "PYTHONUNBUFFERED": "1",
        # A proxy that the environment names is for the world outside, not between our processes.
        "no_proxy": ",".join(filter(None, (getproxies().get("no"), "127.0.0.1"))),
    }
    if not _given("SECRET_KEY"):
        kept_secret(STATE / "secret_key")
        env["SECRET_KEY_FILE"] = str(STATE / "secret_key")
    if not _given("PUBLIC_URL"):
        env["PUBLIC_URL"] = site.web
    if not _given("ALLOWED_HOSTS"):
        env["ALLOWED_HOSTS"] = f"localhost,127.0.0.1,{host},{socket.gethostname()}"
    return env


def _outside() -> dict[str, str]:
    """The variables that the environment gave instead of us."""
    ours = {
        "DATABASE_URL",
        "REDIS_URL",
        "CELERY_BROKER_URL",
        "SECRET_KEY",
        "ALLOWED_HOSTS",
        "PUBLIC_URL",
    }
    return {name: os.environ[name] for name in os.environ if name.removesuffix("_FILE") in ours}


@contextlib.contextmanager
def _environment_file(env: dict[str, str]) -> Iterator[None]:
    """The variables in a file that a shell can read, for `make manage`, while the system runs."""
    ENVIRONMENT.unlink(missing_ok=True)
    descriptor = os.open(ENVIRONMENT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in env.items())
    try:
        yield
    finally:
        ENVIRONMENT.unlink()


def _prepare(env: dict[str, str], password: str, watch: Watch) -> str:
    """Bring the database and the static files up to date; the result is the demo's push token."""
    say("preparing the database and the static files …")
    run_manage(env, watch, "migrate", "--noinput")
    run_manage(env, watch, "collectstatic", "--noinput")
    say("setting up the demo …")
    output = run_manage(env | {"DEMO_PASSWORD": password}, watch, "setup_demo")
    return str(json.loads(output.splitlines()[-1])["push_token"])


def _given(name: str) -> str | None:
    """The environment's value for a setting, from `NAME` or the file that `NAME_FILE` names."""
    path = os.environ.get(f"{name}_FILE")
    return Path(path).read_text().strip() if path else os.environ.get(name)


def _reachable(host: str) -> str:
    """The address at which this machine reaches a server that listens on `host`."""
    return "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 -- compared, not bound


def _web_port(host: str, wanted: int) -> int:
    with socket.socket() as probe:
        # As the web server does: connections of an earlier run that linger do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise RunError(f"Cannot listen on {host}:{wanted}: {error.strerror}.") from error
            port = free_port()
            say(f"port {wanted} is taken, the web process gets {port}")
            return port
        return wanted


# Running ----------------------------------------------------------------------------------------


def _start_children(
    options: Options,
    env: dict[str, str],
    site: Site,
    push_token: str,
    stack: contextlib.ExitStack,
    watch: Watch,
) -> None:
    """Start everything, in the reverse of the order in which it is to be stopped."""

    def start(name: str, *arguments: str, **variables: str) -> None:
        child = Child.start(name, list(arguments), env | variables)
        stack.callback(child.stop)
        watch.children.append(child)

    say("starting workers, web and the fake platform …")
    celery = ("-m", "celery", "-A", "threadsagent")
    worker = (*celery, "worker", *QUIET_WORKER)
    start("analyze", *worker, "-Q", "analyze", "-c", "2", "-n", "analyze@%h")
    start("work", *worker, "-Q", "default,send,poll", "-c", "2", "-n", "work@%h")
    bind = f"{options.host}:{urlsplit(site.web).port}"
    gunicorn = ("-m", "gunicorn", "threadsagent.wsgi", "-c", "threadsagent/gunicorn.py")
    # Its control socket would lie in the home folder, outside the project.
    start("web", *gunicorn, "--bind", bind)
    _wait_for(f"{site.web}/health/live", watch)
    # From its first moment it pushes comments and private messages to the web process, and beat
    # has it polled.
    start(
        "fake_platform",
        *("manage.py", "fake_platform", "--port", str(urlsplit(site.fake_platform).port)),
        *("--data", str(STATE / "fake_platform.sqlite3"), "--play", str(options.rate)),
        *("--push-url", f"{site.web}/comments/process"),
        *("--webhook-url", f"{site.web}/webhooks/fake_platform"),
        FAKE_PLATFORM_PUSH_TOKEN=push_token,
    )
    _wait_for(f"{site.fake_platform}/health", watch)
    start("beat", *celery, "beat", "--schedule", str(STATE / "celerybeat-schedule"))


def _wait_for(url: str, watch: Watch) -> None:
    deadline = time.monotonic() + READY_SECONDS
    problem = ""
    while time.monotonic() < deadline:
        watch.pause(0.2)
        try:
            get(url)
        except httpx.HTTPError as error:
            problem = str(error)
        else:
            return
    raise RunError(f"{url} does not answer: {problem}. Read the logs in {LOGS}.")


if __name__ == "__main__":
    sys.exit(main())
