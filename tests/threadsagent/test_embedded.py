"""The embedded servers, really started: each test with folders and servers of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis

from threadsagent import embedded
from threadsagent.embedded import Server, StartError, kept_secret, start_postgres, start_valkey

PROJECT = Path(__file__).resolve().parents[2]
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="about what happens as root")

Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers that are stopped when the test ends."""
    with contextlib.ExitStack() as stack:

        def _start(how: Start, data: Path) -> Server:
            server = how(data, durable=False)
            stack.callback(server.stop)
            return server

        yield _start


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """What one statement on a new connection results in."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Raises TimeoutError when `condition` does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)


def without_password(url: str) -> str:
    """The address with a wrong password in it."""
    return re.sub(r":[0-9a-f]{48}@", ":wrong@", url)


def process_status(pid: int, name: str) -> str:
    """A line of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split("\t", 1)[1] for line in lines if line.startswith(f"{name}:"))


def starting_elsewhere(data: Path) -> subprocess.Popen[str]:
    """A process that starts PostgreSQL, prints its process id and goes on living."""
    script = (
        "import sys, time; from pathlib import Path; from threadsagent import embedded;"
        "print(embedded.start_postgres(Path(sys.argv[1])).process.pid, flush=True); time.sleep(99)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, data], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )


def test_postgres_speaks_utf8_on_loopback_only(start: Start, tmp_path: Path) -> None:
    server = start(start_postgres, tmp_path / "postgres")

    assert query(server.url, "SELECT upper('żółć'), current_database(), current_user") == [
        ("ŻÓŁĆ", "threadsagent", "threadsagent")
    ]
    assert query(server.url, "SHOW listen_addresses") == [("127.0.0.1",)]
    assert query(server.url, "SHOW unix_socket_directories") == [("",)]
    assert query(server.url, "SELECT DISTINCT auth_method FROM pg_hba_file_rules") == [
        ("scram-sha-256",)
    ]


def test_valkey_answers_on_loopback_only(start: Start, tmp_path: Path) -> None:
    server = start(start_valkey, tmp_path / "valkey")

    with redis.Redis.from_url(server.url) as client:
        assert client.set("key", "value")
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


@pytest.mark.parametrize("how", [start_postgres, start_valkey])
def test_only_the_owner_can_read_the_password(start: Start, how: Start, tmp_path: Path) -> None:
    server = start(how, tmp_path / "data")
    password = (tmp_path / "data" / "password").read_text()

    assert f":{password}@" in server.url
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data" / "password").stat().st_mode) == 0o600
    assert password not in Path(f"/proc/{server.process.pid}/cmdline").read_text()
    assert password not in server.log.read_text()


def test_postgres_refuses_a_wrong_password(start: Start, tmp_path: Path) -> None:
    server = start(start_postgres, tmp_path / "postgres")

    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        query(without_password(server.url), "SELECT 1")


def test_valkey_refuses_a_wrong_password(start: Start, tmp_path: Path) -> None:
    server = start(start_valkey, tmp_path / "valkey")

    for url in (without_password(server.url), re.sub(r"//.*@", "//", server.url)):
        with redis.Redis.from_url(url) as client, pytest.raises(redis.AuthenticationError):
            client.ping()


def test_postgres_keeps_its_data(tmp_path: Path) -> None:
    first = start_postgres(tmp_path / "postgres")
    query(first.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    first.stop()
    assert first.process.returncode == 0

    second = start_postgres(tmp_path / "postgres")
    try:
        assert query(second.url, "SELECT answer FROM kept") == [(42,)]
    finally:
        second.stop()


def test_valkey_keeps_its_data(tmp_path: Path) -> None:
    for expected in (None, b"value"):
        server = start_valkey(tmp_path / "valkey")
        try:
            with redis.Redis.from_url(server.url) as client:
                assert client.get("key") == expected
                client.set("key", "value")
        finally:
            server.stop()


def test_two_at_once(start: Start, tmp_path: Path) -> None:
    one = start(start_postgres, tmp_path / "one")
    two = start(start_postgres, tmp_path / "two")
    query(one.url, "CREATE TABLE only_in_one ()")

    assert query(two.url, "SELECT to_regclass('only_in_one')") == [(None,)]
    assert one.url != two.url


@pytest.mark.parametrize("how", [start_postgres, start_valkey])
def test_a_port_taken_meanwhile(
    start: Start, how: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start(start_valkey, tmp_path / "first")
    taken = int(first.url.rpartition(":")[2].partition("/")[0])
    free = embedded.free_port()
    ports = iter([taken, free])
    monkeypatch.setattr(embedded, "free_port", lambda: next(ports))

    assert f":{free}/" in start(how, tmp_path / "second").url


def test_a_server_that_cannot_start_says_why(start: Start, tmp_path: Path) -> None:
    start(start_postgres, tmp_path / "postgres").stop()
    (tmp_path / "postgres" / "cluster" / "PG_VERSION").write_text("9.6\n")

    with pytest.raises(StartError, match=r"initialized by PostgreSQL version 9\.6"):
        start(start_postgres, tmp_path / "postgres")


def test_after_a_crash_with_the_process_number_taken_by_another(
    start: Start, tmp_path: Path
) -> None:
    crashed = start(start_postgres, tmp_path / "postgres")
    crashed.process.kill()
    crashed.process.wait()
    pid_file = tmp_path / "postgres" / "cluster" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    with subprocess.Popen(["sleep", "99"], cwd=pid_file.parent) as stranger:
        try:
            pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
            server = start(start_postgres, tmp_path / "postgres")

            assert query(server.url, "SELECT 1") == [(1,)]
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.parametrize("how", [start_postgres, start_valkey])
def test_a_leftover_server_is_stopped_first(start: Start, how: Start, tmp_path: Path) -> None:
    leftover = start(how, tmp_path / "data")
    elsewhere = start(how, tmp_path / "elsewhere")

    server = start(how, tmp_path / "data")

    assert leftover.process.poll() == 0  # in order, not killed
    assert server.process.poll() is None
    assert elsewhere.process.poll() is None


def test_a_killed_initdb_does_not_poison_the_folder(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    with starting_elsewhere(data) as starter:
        wait_until((data / "cluster.new" / "base").exists)
        starter.kill()
    assert not (data / "cluster").exists()

    assert query(start(start_postgres, data).url, "SELECT 1") == [(1,)]
    assert not (data / "cluster.new").exists()


def test_a_server_does_not_outlive_its_killed_starter(tmp_path: Path) -> None:
    with starting_elsewhere(tmp_path / "postgres") as starter:
        assert starter.stdout
        pid = int(starter.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        starter.kill()

    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_secret_is_kept(tmp_path: Path) -> None:
    secret = kept_secret(tmp_path / "secret", size=8)

    assert re.fullmatch("[0-9a-f]{16}", secret)
    assert kept_secret(tmp_path / "secret") == secret
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@only_root
@pytest.mark.parametrize("how", [start_postgres, start_valkey])
def test_root_runs_servers_as_nobody_without_any_right(start: Start, how: Start) -> None:
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)  # nobody can pass through, so needs no right to
        server = start(how, folder / "data")

        pid = server.process.pid
        assert process_status(pid, "Uid").split() == [str(nobody.pw_uid)] * 4
        assert process_status(pid, "Gid").split() == [str(nobody.pw_gid)] * 4
        assert process_status(pid, "Groups").split() == []
        for capabilities in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"):
            assert int(process_status(pid, capabilities), 16) == 0
        server.stop()


@only_root
@pytest.mark.parametrize("how", [start_postgres, start_valkey])
def test_root_in_a_folder_closed_to_others(start: Start, how: Start, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    inner = closed / "with space"
    inner.mkdir(mode=0o750)
    before = closed.stat(), inner.stat()

    server = start(how, inner / "data")

    assert process_status(server.process.pid, "Uid").split()[0] != "0"
    after = closed.stat(), inner.stat()
    for old, new in zip(before, after, strict=True):
        assert (old.st_mode, old.st_uid, old.st_gid) == (new.st_mode, new.st_uid, new.st_gid)


@only_root
def test_root_leaves_another_users_folder_alone(start: Start, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 12345, 12345)

    with pytest.raises(StartError, match="made by another user"):
        start(start_postgres, tmp_path / "theirs")
    assert list((tmp_path / "theirs").iterdir()) == []
