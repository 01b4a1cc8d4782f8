"""The servers that the tests need, as a pytest plugin (`-p tests.services` in pyproject.toml).

PostgreSQL and Valkey are started before Django reads its settings, unless the environment names
others. RabbitMQ, Chromium, Prometheus and Alertmanager are fixtures, for the few tests that ask for
them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kombu import Connection

from threadsagent.embedded import (
    ENVIRONMENT,
    StartError,
    free_port,
    guarded,
    last_lines,
    start_postgres,
    start_valkey,
)

RABBITMQ = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")  # Debian's name, and everybody's
RABBITMQ_START_SECONDS = 120
APT_SECONDS = 900


@pytest.hookimpl(wrapper=True)  # pytest-django reads the settings in this hook; wrappers are first
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    wanted = early_config.known_args_namespace
    if not (wanted.help or wanted.version):
        os.environ.setdefault("SECRET_KEY", "only-for-tests")
        os.environ["METRICS_TOKEN"] = "test-metrics-token"
        os.environ["FAKE_PLATFORM_URL"] = "http://127.0.0.1:9"  # nobody answers there
        # prometheus_client would keep this process's metrics in files, unlike the tests expect.
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        _start_servers(early_config)
    return (yield)


def _start_servers(config: pytest.Config) -> None:
    folder = Path(tempfile.mkdtemp(prefix="threadsagent-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(folder))
    if os.geteuid() == 0:
        folder.chmod(0o711)  # the servers run as another user then
    if "DATABASE_URL" not in os.environ:
        postgres = start_postgres(folder / "postgres", durable=False)
        config.add_cleanup(postgres.stop)
        os.environ["DATABASE_URL"] = postgres.url
    if "REDIS_URL" not in os.environ:
        valkey = start_valkey(folder / "valkey", durable=False)
        config.add_cleanup(valkey.stop)
        os.environ["REDIS_URL"] = valkey.url
    broker = urlsplit(os.environ["REDIS_URL"])._replace(path="/1").geturl()
    os.environ.setdefault("CELERY_BROKER_URL", broker)


@pytest.fixture(scope="session")
def rabbitmq_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An amqp:// address: RABBITMQ_URL's, or that of a private RabbitMQ for this session."""
    if "RABBITMQ_URL" in os.environ:
        yield os.environ["RABBITMQ_URL"]
        return
    program = _program("rabbitmq-server", RABBITMQ, request.config)
    with private_rabbitmq(program) as url:
        yield url


@pytest.fixture(scope="session")
def chromium_path(request: pytest.FixtureRequest) -> str:
    """A Chromium to start: CHROMIUM's, or the installed one."""
    return os.environ.get("CHROMIUM") or _program("chromium", CHROMIUM, request.config)


@pytest.fixture(scope="session")
def prometheus_path(request: pytest.FixtureRequest) -> str:
    """A Prometheus to start."""
    return _program("prometheus", ("prometheus",), request.config)


@pytest.fixture(scope="session")
def promtool_path(request: pytest.FixtureRequest) -> str:
    """What checks and tests rules; it comes with Prometheus."""
    return _program("prometheus", ("promtool",), request.config)


@pytest.fixture(scope="session")
def alertmanager_path(request: pytest.FixtureRequest) -> str:
    """An Alertmanager to start."""
    return _program("prometheus-alertmanager", ALERTMANAGER, request.config)


@pytest.fixture(scope="session")
def amtool_path(request: pytest.FixtureRequest) -> str:
    """What checks an Alertmanager's configuration; it comes with it."""
    return _program("prometheus-alertmanager", ("amtool",), request.config)


# Programs that no wheel brings ------------------------------------------------------------------


def _program(package: str, names: tuple[str, ...], config: pytest.Config) -> str:
    """The first of `names` there is. Root on Debian installs `package` for it; without the
    program the test is skipped, or fails in CI, where nobody would notice that it was skipped."""
    found = find_program(names)
    problem = "is not installed"
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        problem = _install(package, config)
        found = find_program(names)
    if found is None:
        reason = f"{package} {problem}: this test did not run (apt-get install {package})"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


def find_program(names: tuple[str, ...]) -> str | None:
    """The path of the first of `names` there is."""
    return next((path for name in names if (path := shutil.which(name))), None)


def _install(package: str, config: pytest.Config) -> str:
    """Install a Debian package; the result says what went wrong, if anything."""
    _tell(f"installing {package} with apt-get: this can take some minutes ...", config)
    apt = ["apt-get", "-q", "-y", "-o", "Acquire::http::Timeout=60"]
    with _no_services_started():
        for command in ([*apt, "update"], [*apt, "install", "--no-install-recommends", package]):
            try:
                result = subprocess.run(
                    command,
                    env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=APT_SECONDS,
                )
            except subprocess.TimeoutExpired:
                return f"could not be installed in {APT_SECONDS} seconds"
    return f"could not be installed ({result.stderr.strip()[-300:]})"


@contextlib.contextmanager
def _no_services_started() -> Iterator[None]:
    """Debian starts a package's service when it is installed, unless this file forbids it."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield  # somebody's own policy stays as it is
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def _tell(text: str, config: pytest.Config) -> None:
    """Show a line at once, past pytest's capturing."""
    capture = config.pluginmanager.getplugin("capturemanager")
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if capture and reporter:
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(text)
            reporter.flush()


# RabbitMQ ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def private_rabbitmq(program: str) -> Iterator[str]:
    """A RabbitMQ of our own: own ports, own folders, own user, and its own port mapper.

    Raises StartError.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="threadsagent-rabbitmq-"))
        )
        port, password = free_port(), secrets.token_hex(16)
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{port}\n"
            f"default_user = threadsagent\ndefault_pass = {password}\n"
        )
        env = _rabbitmq_environment(folder, port)
        # The port mapper would otherwise put itself in the background and outlive the tests.
        epmd = shutil.which("epmd") or "epmd"
        _start([epmd], env, folder / "epmd.log", stack)
        server = _start([program], env, folder / "server.log", stack)
        url = f"amqp://threadsagent:{password}@127.0.0.1:{port}//"
        _wait_for_rabbitmq(url, server, folder / "server.log")
        yield url


def _rabbitmq_environment(folder: Path, port: int) -> dict[str, str]:
    return ENVIRONMENT | {
        "LC_ALL": "C.UTF-8",
        "HOME": str(folder),  # for Erlang's cookie
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_NODENAME": f"threadsagent{port}@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        # No shell that waits for the server: the process that is started is the server.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def _start(
    command: list[str], env: dict[str, str], log: Path, stack: contextlib.ExitStack
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            guarded(command, "KILL"),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    stack.callback(_kill, process)
    return process


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all it has started; what it has stored is thrown away anyway."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_for_rabbitmq(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + RABBITMQ_START_SECONDS
    while True:
        try:
            with Connection(url, connect_timeout=5) as connection:
                connection.connect()
        except OSError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise StartError(
                    f"RabbitMQ does not start ({error}):\n{last_lines(log)}"
                ) from error
            time.sleep(0.2)
        else:
            return
