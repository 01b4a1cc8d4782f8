"""`make run`: the whole system on this machine, from nothing, until Ctrl-C.

Starts PostgreSQL and Valkey (unless the environment names others), prepares the database, starts
the fake platform, the web process, the Celery workers and beat, says where to look, and reports
what happens. Whatever ends it, it takes down what it started and nothing else. Its state is in
`.data/` in the project, and the next run goes on from there.

No Django in this process: Django's settings need the addresses of what is started here.
"""

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
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx
from prometheus_client.parser import text_string_to_metric_families

from threadsagent.embedded import (
    Server,
    StartError,
    free_port,
    guarded,
    kept_secret,
    last_lines,
    start_postgres,
    start_valkey,
)

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".data"
LOGS = STATE / "logs"
METRICS = STATE / "metrics"
ENVIRONMENT = STATE / "environment"
READY_SECONDS = 120.0
STOP_SECONDS = 20.0
STATUS_SECONDS = 5.0


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
            process = subprocess.Popen(  # noqa: S603 -- our own commands
                guarded([sys.executable, *arguments]),
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
                raise RunError(_obituary(server.name, server.log))
        for child in self.children:
            if child.ended():
                raise RunError(_obituary(child.name, child.log))

    def pause(self, seconds: float) -> None:
        """Sleep, and keep checking."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, 0.1))


@dataclass(frozen=True)
class Counts:
    """What has happened since the start of this run."""

    stored: int = 0
    duplicates: int = 0
    analysed: int = 0
    flagged: int = 0
    approved: int = 0
    delivered: int = 0
    failed: int = 0

    @classmethod
    def parse(cls, text: str) -> Counts:
        """The counts in the answer of `/metrics`."""
        wanted = {
            "stored": ("comments_stored_total", {}),
            "duplicates": ("comment_duplicates_detected_total", {}),
            "analysed": ("intent_analyzed_total", {}),
            "flagged": ("intent_reviews_flagged_total", {}),
            "approved": ("intent_review_decisions_total", {"decision": "approved"}),
            "delivered": ("direct_messages_total", {"state": "sent"}),
            "failed": ("direct_messages_total", {"state": "failed"}),
        }
        counts: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                for name, (metric, labels) in wanted.items():
                    if sample.name == metric and labels.items() <= sample.labels.items():
                        counts[name] += int(sample.value)
        return cls(**counts)

    def __str__(self) -> str:
        return (
            f"comments {self.stored} (+{self.duplicates} duplicates)"
            f" · analysed {self.analysed} · flagged {self.flagged} · approved {self.approved}"
            f" · delivered {self.delivered} · failed {self.failed}"
        )


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
        parser = argparse.ArgumentParser(prog="python -m threadsagent.run", description=__doc__)
        parser.add_argument(
            "--for",
            dest="seconds",
            type=float,
            metavar="SECONDS",
            help="end by itself after so long (at least 30: a worker takes 15 to load its model)"
            " and fail unless comments came in and led to messages; default: run until Ctrl-C",
        )
        parser.add_argument(
            "--rate", type=float, default=1.0, help="sample comments a second (default: 1)"
        )
        parser.add_argument("--host", default="127.0.0.1", help="web address (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="web port (default: 8000)")
        return cls(**vars(parser.parse_args(arguments)))


@dataclass(frozen=True)
class Site:
    """Where the running system answers."""

    web: str
    fake_platform: str
    metrics_token: str
    password: str


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
                _say("stopping …")


def _run(options: Options, stack: contextlib.ExitStack, watch: Watch) -> int:
    for folder in (LOGS, STATE / "static"):
        folder.mkdir(mode=0o700, exist_ok=True)
    servers = _start_servers(stack, watch)
    env = os.environ | servers
    site = Site(
        web=f"http://{_reachable(options.host)}:{_web_port(options.host, options.port)}",
        fake_platform=f"http://127.0.0.1:{free_port()}",
        metrics_token=_given("METRICS_TOKEN") or secrets.token_hex(16),
        password=kept_secret(STATE / "operator_password", size=8),
    )
    settings = _settings(site, options.host)
    env |= settings
    stack.enter_context(_environment_file(_outside() | servers | settings))
    push_token = _prepare(env, site.password, watch)
    _start_children(options, env, site, push_token, stack, watch)
    _say(_where_to_look(site))
    counts = _report(site, options.seconds, watch)
    return _verdict(counts, _ledger(site))


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
        _say("starting PostgreSQL …")
        postgres = start_postgres(STATE / "postgres")
        stack.callback(postgres.stop)
        watch.servers.append(postgres)
        env["DATABASE_URL"] = postgres.url
    redis_url = _given("REDIS_URL")
    if not redis_url:
        _say("starting Valkey …")
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
    if not _given("ALLOWED_HOSTS"):
        env["ALLOWED_HOSTS"] = f"localhost,127.0.0.1,{host},{socket.gethostname()}"
    return env


def _outside() -> dict[str, str]:
    """The variables that the environment gave instead of us."""
    ours = {"DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY", "ALLOWED_HOSTS"}
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
    _say("preparing the database and the static files …")
    _manage(env, watch, "migrate", "--noinput")
    _manage(env, watch, "collectstatic", "--noinput")
    _say("setting up the demo …")
    output = _manage(env | {"DEMO_OPERATOR_PASSWORD": password}, watch, "setup_demo")
    return str(json.loads(output.splitlines()[-1])["push_token"])


def _manage(env: dict[str, str], watch: Watch, *arguments: str) -> str:
    """Run a management command to its end; the result is its standard output."""
    log = LOGS / f"{arguments[0]}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 -- our own commands
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
        raise RunError(f"manage.py {arguments[0]} failed. {_end_of(log)}")
    return output


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
            _say(f"port {wanted} is taken, the web process gets {port}")
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

    _say("starting workers, web and the fake platform …")
    celery = ("-m", "celery", "-A", "threadsagent")
    start("analyze", *celery, "worker", "-Q", "analyze", "-c", "1", "-n", "analyze@%h")
    start("work", *celery, "worker", "-Q", "default,send", "-c", "2", "-n", "work@%h")
    bind = f"{options.host}:{urlsplit(site.web).port}"
    gunicorn = ("-m", "gunicorn", "threadsagent.wsgi", "-c", "threadsagent/gunicorn.py")
    # Its control socket would lie in the home folder, outside the project.
    start("web", *gunicorn, "--bind", bind, "--no-control-socket")
    start("beat", *celery, "beat", "--schedule", str(STATE / "celerybeat-schedule"))
    _wait_for(f"{site.web}/health/live", watch)
    # Last: from its first moment it pushes comments to the web process.
    start(
        "fake_platform",
        *("manage.py", "fake_platform", "--port", str(urlsplit(site.fake_platform).port)),
        *("--data", str(STATE / "fake_platform.sqlite3"), "--play", str(options.rate)),
        *("--push-url", f"{site.web}/comments/process"),
        FAKE_PLATFORM_PUSH_TOKEN=push_token,
    )
    _wait_for(f"{site.fake_platform}/health", watch)


def _wait_for(url: str, watch: Watch) -> None:
    deadline = time.monotonic() + READY_SECONDS
    problem = ""
    while time.monotonic() < deadline:
        watch.pause(0.2)
        try:
            _get(url)
        except httpx.HTTPError as error:
            problem = str(error)
        else:
            return
    raise RunError(f"{url} does not answer: {problem}. Read the logs in {LOGS}.")


def _get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=5, trust_env=False).raise_for_status()


def _report(site: Site, seconds: float | None, watch: Watch) -> Counts:
    """Print what happens until the time is over (by default, never)."""
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    while (left := end - time.monotonic()) > 0:
        watch.pause(min(STATUS_SECONDS, left))
        now = time.strftime("%H:%M:%S")
        try:
            _say(f"{now}  {_counts(site)}")
        except httpx.HTTPError as error:
            _say(f"{now}  no metrics: {error}")
    try:
        return _counts(site)
    except httpx.HTTPError as error:
        raise RunError(f"No metrics: {error}. {_end_of(LOGS / 'web.log')}") from error


def _counts(site: Site) -> Counts:
    answer = _get(f"{site.web}/metrics", Authorization=f"Bearer {site.metrics_token}")
    return Counts.parse(answer.text)


def _ledger(site: Site) -> Counter[str]:
    """How many messages the platform took for each comment, by its own account."""
    try:
        messages = _get(f"{site.fake_platform}/messages").json()["data"]
    except httpx.HTTPError as error:
        raise RunError(f"No ledger: {error}. {_end_of(LOGS / 'fake_platform.log')}") from error
    return Counter(message["comment_id"] for message in messages)


# Telling ----------------------------------------------------------------------------------------


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _where_to_look(site: Site) -> str:
    lines = [
        "ThreadsAgent is running.",
        "",
        f"  Console        {site.web}/admin/    user demo, password {site.password}",
        f"  API            {site.web}/api/docs/    (sign in to the console first)",
        f"  Health         {site.web}/health",
        f"  Fake platform  {site.fake_platform}/    the messages it has delivered",
        f"  Logs           {LOGS}",
        "",
        'Commands: make manage ARGS="help"',
        "Comments come in by themselves; the first results take some 20 seconds. Ctrl-C stops all.",
    ]
    width = max(len(line) for line in lines)
    frame = "─" * (width + 2)
    return "\n".join([f"┌{frame}┐", *(f"│ {line:<{width}} │" for line in lines), f"└{frame}┘"])


def _verdict(counts: Counts, ledger: Counter[str]) -> int:
    """Print what the run came to; 0 when it did all a run has to do."""
    _say(
        f"In this run {counts.stored} comments came in"
        f" and {counts.duplicates} duplicates were recognised,"
        f" {counts.analysed} were analysed, {counts.flagged} flagged, {counts.approved} approved;"
        f" {counts.delivered} messages were delivered, {counts.failed} failed."
    )
    doubles = sorted(comment for comment, messages in ledger.items() if messages > 1)
    _say(
        f"The platform's own ledger holds {ledger.total()} messages: "
        + (f"comments messaged twice: {', '.join(doubles)}" if doubles else "no comment got two.")
    )
    logs = {"stored": "web", "analysed": "analyze", "approved": "work", "delivered": "work"}
    missing = [
        f"nothing was {name}: read {LOGS / log}.log"
        for name, log in logs.items()
        if getattr(counts, name) == 0
    ]
    for line in missing:
        _say(line)
    return 1 if missing or doubles else 0


def _obituary(name: str, log: Path) -> str:
    return f"{name} has stopped unexpectedly. {_end_of(log)}"


def _end_of(log: Path) -> str:
    return f"The end of {log}:\n{last_lines(log)}"


if __name__ == "__main__":
    sys.exit(main())
