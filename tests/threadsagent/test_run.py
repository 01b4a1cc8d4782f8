"""`python -m threadsagent.run`, really run, in a copy of the project with a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg2
import pytest

from threadsagent.embedded import free_port
from threadsagent.run.report import Counts, verdict

PROJECT = Path(__file__).resolve().parents[2]
NOT_COPIED = (".venv", ".data", ".git", "__pycache__", ".*_cache", ".hypothesis")
UP_SECONDS = 120
DOWN_SECONDS = 90


@dataclass
class Run:
    """A supervisor, with its output in a file."""

    process: subprocess.Popen[bytes]
    output: Path

    def text(self) -> str:
        return self.output.read_text()

    def wait_until_up(self) -> None:
        wait_until(lambda: "ThreadsAgent is running" in self.text() or self.over(), UP_SECONDS)
        assert not self.over(), self.text()

    def over(self) -> bool:
        return self.process.poll() is not None


@dataclass
class Copy:
    """A copy of the project, where nothing has run yet."""

    folder: Path

    def run(self, name: str, *arguments: str) -> Run:
        """Start the supervisor as `make run` does."""
        # The services of this test session are not for the run: it has to start its own.
        env = {key: value for key, value in os.environ.items() if not key.endswith("_URL")}
        for key in ("SECRET_KEY", "METRICS_TOKEN", "DJANGO_SETTINGS_MODULE"):
            env.pop(key, None)
        output = self.folder.with_name(f"{name}.txt")
        command = [sys.executable, "-m", "threadsagent.run", "--port", str(free_port())]
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*command, *arguments],
                cwd=self.folder,
                env=env,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Run(process, output)

    @property
    def environment(self) -> Path:
        return self.folder / ".data" / "environment"

    def manage(self, *arguments: str) -> str:
        """What a manage.py command prints, run as `make manage` does."""
        script = f'. "{self.environment}" && exec "$@"'
        return subprocess.check_output(
            ["bash", "-c", script, "bash", sys.executable, "manage.py", *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"]},
            text=True,
        )

    def processes(self) -> dict[int, str]:
        """Process id -> command line of every process that works in the copy."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "cwd").readlink().is_relative_to(self.folder):
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:  # ended meanwhile, or another user's
                continue
        return found

    def rows(self, table: str) -> int:
        """How many rows a table of the run's own database holds."""
        data = self.folder / ".data" / "postgres"
        port = (data / "cluster" / "postmaster.pid").read_text().splitlines()[3]
        password = quote((data / "password").read_text())
        url = f"postgres://threadsagent:{password}@127.0.0.1:{port}/threadsagent"
        connection = psycopg2.connect(url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 -- the tests' own
                return int(cursor.fetchone()[0])
        finally:
            connection.close()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    folder = tmp_path_factory.mktemp("run") / "a copy"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    copy = Copy(folder)
    yield copy
    for pid in copy.processes():
        os.kill(pid, signal.SIGKILL)


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    """Raises TimeoutError when `condition` does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


@pytest.fixture(scope="module")
def first_run(copy: Copy) -> Run:
    """A run from nothing, over."""
    run = copy.run("first", "--for", "45", "--rate", "3")
    run.process.wait(UP_SECONDS + 45 + DOWN_SECONDS)
    return run


@pytest.mark.integration
def test_from_nothing_to_messages(copy: Copy, first_run: Run) -> None:
    run = first_run
    assert run.process.returncode == 0, run.text()

    closing = re.search(
        r"In this run (\d+) comments came in and (\d+) duplicates were recognised, "
        r"(\d+) were analysed, (\d+) flagged, (\d+) approved; "
        r"(\d+) messages were delivered, (\d+) failed\.\n"
        r"The platform's own ledger, of all runs, holds (\d+) messages: no comment got two\.",
        run.text(),
    )
    assert closing, run.text()
    stored, _, analysed, flagged, approved, delivered, _, ledger = map(int, closing.groups())
    assert stored >= analysed >= flagged > 0
    assert approved >= delivered > 0
    assert ledger >= delivered
    assert copy.processes() == {}


def people_tell_the_web_process(copy: Copy) -> None:
    """What people write on the fake platform comes through its webhook, signed."""
    url = re.search(r"FAKE_PLATFORM_URL=(\S+)", copy.environment.read_text())
    assert url
    said = {"author": "ada", "text": "STOP"}
    httpx.post(f"{url[1]}/inbox", json=said, trust_env=False).raise_for_status()
    opted_out = "dmtrigger_person WHERE name = 'ada' AND opted_out_by = 'reply'"
    wait_until(lambda: copy.rows(opted_out) == 1, 20)


@pytest.mark.integration
@pytest.mark.usefixtures("first_run")
def test_a_second_run_goes_on_and_ctrl_c_ends_all(copy: Copy) -> None:
    first = copy.run("second")
    first.wait_until_up()
    assert copy.rows("comments_comment") > 0  # the first run's
    people_tell_the_web_process(copy)

    another = copy.run("another")
    assert another.process.wait(UP_SECONDS) == 1
    assert another.text() == f"ThreadsAgent already runs here (pid {first.process.pid}).\n"
    assert not first.over()
    assert re.fullmatch(r"[0-9a-f]{64}\n", copy.manage("issue_api_token", "demo"))

    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(DOWN_SECONDS) == 0, first.text()
    assert not copy.environment.exists()
    assert copy.processes() == {}


@pytest.mark.integration
def test_a_child_that_dies_ends_the_run(copy: Copy) -> None:
    run = copy.run("crash")
    run.wait_until_up()
    web = min(pid for pid, command in copy.processes().items() if "-m gunicorn" in command)
    os.kill(web, signal.SIGKILL)

    assert run.process.wait(DOWN_SECONDS) == 1
    assert "web has stopped unexpectedly" in run.text()
    assert "threadsagent.wsgi" in run.text() or "gunicorn" in run.text()  # the end of its log
    assert copy.processes() == {}


@pytest.mark.integration
def test_nothing_outlives_a_killed_run(copy: Copy) -> None:
    run = copy.run("killed")
    run.wait_until_up()
    run.process.kill()

    wait_until(lambda: not copy.processes(), DOWN_SECONDS)


def test_counts_are_summed_over_labels() -> None:
    counts = Counts.parse(
        "# TYPE comments_stored_total counter\n"
        'comments_stored_total{source="a"} 3.0\n'
        'comments_stored_total{source="b"} 4.0\n'
        "# TYPE intent_review_decisions_total counter\n"
        'intent_review_decisions_total{decision="approved",by="person"} 1.0\n'
        'intent_review_decisions_total{decision="rejected",by="person"} 9.0\n'
        "# TYPE direct_messages_total counter\n"
        'direct_messages_total{state="sent"} 1.0\n'
        'direct_messages_total{state="failed"} 2.0\n'
    )

    assert counts == Counts(stored=7, approved=1, delivered=1, failed=2)


def test_the_verdict_names_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(Counts(stored=9, analysed=9, flagged=2), Counter()) == 1

    output = capsys.readouterr().out
    assert "nothing was approved: read " in output
    assert "nothing was delivered: read " in output
    assert "nothing was stored" not in output


def test_the_verdict_names_who_got_two_messages(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counts(stored=9, analysed=9, flagged=2, approved=2, delivered=2)

    assert verdict(counts, Counter(["c1", "c2"])) == 0
    assert verdict(counts, Counter(["c1", "c2", "c1"])) == 1
    assert "messaged twice: c1" in capsys.readouterr().out
