"""`manage.py import_comments`: whole files, line by line, however often it is stopped."""

import csv
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from comments import files, imports
from comments.ingest import IngestReport, ingest
from comments.models import Comment, FileImport, SeenComment

pytestmark = pytest.mark.django_db

HEADER = "id,post_id,text,author,timestamp\n"
MOMENT = "2024-01-25T10:30:00Z"


def item(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"c{number}",
        "post_id": "p1",
        "text": "how much?",
        "author": "ada",
        "timestamp": MOMENT,
    } | changes


def run(file: Path, *options: str) -> tuple[str, list[str]]:
    """What the command says on standard output, and its lines on standard error."""
    out, err = StringIO(), StringIO()
    call_command("import_comments", str(file), *options, stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue().splitlines()


@pytest.fixture
def jsonl(tmp_path):
    def write(*lines: Any) -> Path:
        file = tmp_path / "comments.jsonl"
        text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        file.write_text("\n".join(text) + "\n")
        return file

    return write


@pytest.fixture
def csv_file(tmp_path):
    def write(text: str) -> Path:
        file = tmp_path / "comments.csv"
        file.write_text(HEADER + text)
        return file

    return write


class Interruption:
    """Stands in for `ingest`: notes which items came, and can fail after storing some."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.batches_left = 0
        self.error: BaseException = OperationalError("the server closed the connection")

    def after(self, batches: int) -> None:
        """Fail once, in the transaction of the n-th batch from now on; 0 is never."""
        self.items, self.batches_left = [], batches

    def __call__(self, items: list[Any], **origin: str) -> IngestReport:
        self.items += items
        report = ingest(items, **origin)
        self.batches_left -= 1
        if self.batches_left == 0:
            raise self.error
        return report


@pytest.fixture
def interrupt(monkeypatch) -> Interruption:
    interruption = Interruption()
    monkeypatch.setattr(imports, "CHUNK", 2)
    monkeypatch.setattr(imports, "ingest", interruption)
    return interruption


# Reading ----------------------------------------------------------------------------------------


def test_a_file_is_stored_and_the_second_import_is_all_duplicates(jsonl):
    file = jsonl(*(item(n) for n in range(5)))
    assert run(file) == ("5 comments: 5 stored, 0 duplicates, 0 refused", [])
    finished = FileImport.objects.get().finished_at
    said, errors = run(file)
    assert said.splitlines() == [
        f"This file was imported before, until {finished:%Y-%m-%d %H:%M} UTC.",
        "5 comments: 0 stored, 5 duplicates, 0 refused",
    ]
    assert errors == []


def test_what_cannot_be_read_is_named_by_line_and_field_and_the_rest_is_stored(jsonl):
    file = jsonl(item(1), "{broken", "", item(2, text=""), "[1]", item(3), item(4, post_id=None))
    said, errors = run(file)
    assert said == "6 comments: 2 stored, 0 duplicates, 4 refused"
    assert [error.removeprefix(f"{file}:").split(":")[0] for error in errors] == list("2457")
    assert errors[0].startswith(f"{file}:2: line is not JSON")
    assert errors[1] == f"{file}:4: text must not be empty"
    assert errors[3] == f"{file}:7: post_id is missing"


def test_line_numbers_hold_beyond_the_first_chunk(jsonl, monkeypatch):
    monkeypatch.setattr(imports, "CHUNK", 2)
    _, errors = run(jsonl(item(1), item(2), item(3), item(4), item(5, author=7)))
    assert errors[0].endswith(":5: author must be text")


def test_bytes_that_are_not_utf_8_become_replacement_characters(tmp_path):
    file = tmp_path / "comments.jsonl"
    file.write_bytes(
        json.dumps(item(1)).replace("how", "h\udcff").encode("utf-8", "surrogateescape")
    )
    run(file)
    assert Comment.objects.get().text == "h� much?"


def test_csv_rows_are_named_by_the_line_they_begin_on(csv_file):
    file = csv_file(
        f'c1,p1,"two\nlines",ada,{MOMENT}\nc2,p1,,ada,{MOMENT}\nc3,p1,"oh,ada,{MOMENT}\n'
    )
    said, errors = run(file)
    assert said == "3 comments: 1 stored, 0 duplicates, 2 refused"
    assert errors[0] == f"{file}:4: text must not be empty"
    assert errors[1].startswith(f"{file}:5: line is not CSV: ")
    assert Comment.objects.get().text == "two\nlines"


def test_a_line_that_is_too_long_is_refused_and_the_rest_is_stored(jsonl):
    file = jsonl(item(1), "x" * 2**21, item(2))
    said, errors = run(file)
    assert said == "3 comments: 2 stored, 0 duplicates, 1 refused"
    assert errors == [f"{file}:2: line is longer than 1048576 bytes"]


def test_real_comments_come_in_whole_and_once():
    file = Path(__file__).parents[3] / "shared" / "data" / "comments_real.jsonl"
    if not file.exists():
        pytest.skip("the folder with real comments is not here")
    ids = {json.loads(line)["id"] for line in file.open()}
    said, errors = run(file)
    assert Comment.objects.count() == len(ids) - len(errors)
    assert errors == [] or all("characters" in error or "empty" in error for error in errors)
    assert said.split(" comments")[0] == f"{sum(1 for _ in file.open()):,}"
    assert " 0 stored, " in run(file)[0]


# What cannot be imported ------------------------------------------------------------------------


def test_a_csv_header_that_lacks_a_column_stops_the_import(tmp_path):
    file = tmp_path / "comments.csv"
    file.write_text("id,text\nc1,hello\n")
    with pytest.raises(CommandError, match="csv: line 1: the header lacks post_id, author, time"):
        run(file)


def test_an_empty_file_is_an_error(tmp_path):
    file = tmp_path / "comments.jsonl"
    file.touch()
    with pytest.raises(CommandError, match="jsonl: is empty"):
        run(file)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("none.jsonl", "none.jsonl: No such file or directory"),
        (".", "Is a directory"),
        ("/dev/null", "is not a regular file"),
    ],
)
def test_what_is_no_file_is_an_error(tmp_path, name, problem):
    with pytest.raises(CommandError, match=problem):
        run(tmp_path / name)


def test_a_file_in_which_nothing_can_be_read_is_an_error(jsonl):
    with pytest.raises(CommandError, match="no comment in it that could be read"):
        run(jsonl("not json", item(1, text="")))


def test_the_account_is_stored_with_each_comment(jsonl):
    run(jsonl(item(1), item(2)), "--account", "shop")
    assert set(Comment.objects.values_list("account", flat=True)) == {"shop"}


def test_an_account_that_cannot_be_stored_is_refused_before_anything_is_read(jsonl):
    with pytest.raises(CommandError, match="--account has 300 characters"):
        run(jsonl(item(1)), "--account", "a" * 300)
    assert not Comment.objects.exists()


def test_an_unknown_source_is_refused_before_anything_is_stored(jsonl):
    with pytest.raises(CommandError, match="there are: fake_platform"):
        run(jsonl(item(1)), "--source", "myspace")
    assert not Comment.objects.exists()
    assert not FileImport.objects.exists()


# Stopped and started again ----------------------------------------------------------------------


def test_a_second_start_reads_only_what_the_first_has_not_done(jsonl, interrupt):
    file = jsonl(item(0), "{broken", "", *(item(n) for n in range(1, 6)), item(6, text=""))
    interrupt.after(3)
    with pytest.raises(CommandError, match="closed the connection\nWhat was stored is kept, and"):
        run(file)
    assert Comment.objects.count() == 3  # the third chunk is stored with its place, or not at all
    interrupt.after(0)
    said, errors = run(file)
    assert [read["id"] for read in interrupt.items] == ["c3", "c4", "c5", "c6"]
    assert said.splitlines() == [
        "Going on after line 5, done on an earlier run.",
        "This run: 4 comments: 3 stored, 0 duplicates, 1 refused",
        "All runs: 8 comments: 6 stored, 0 duplicates, 2 refused",
    ]
    assert errors == [f"{file}:9: text must not be empty"]


def test_ctrl_c_says_how_to_go_on(jsonl, interrupt, capsys):
    file = jsonl(*(item(n) for n in range(4)))
    interrupt.after(2)
    interrupt.error = KeyboardInterrupt()
    with pytest.raises(SystemExit) as stopped:
        call_command("import_comments", str(file))
    assert stopped.value.code == 130
    assert "Stopped. What was stored is kept, and the same command goes" in capsys.readouterr().err
    assert "Going on after line 2," in run(file)[0]


def test_a_csv_record_with_line_breaks_at_the_end_of_a_chunk_is_not_cut(csv_file, interrupt):
    record = 'c{},p1,"two\n\n""lines""\n",ada,' + MOMENT + "\n"
    file = csv_file("".join(record.format(n) for n in range(6)) + "c6,p1\n")
    interrupt.after(2)
    with pytest.raises(CommandError):
        run(file)
    interrupt.after(0)
    said, errors = run(file)
    assert [read["id"] for read in interrupt.items] == ["c2", "c3", "c4", "c5", "c6"]
    assert "Going on after line 9," in said
    assert errors == [f"{file}:26: text is missing"]
    assert set(Comment.objects.values_list("text", flat=True)) == {'two\n\n"lines"\n'}


def test_restart_begins_at_the_first_line(jsonl, interrupt):
    file = jsonl(*(item(n) for n in range(4)))
    interrupt.after(2)
    with pytest.raises(CommandError):
        run(file)
    interrupt.after(0)
    assert run(file, "--restart")[0] == "4 comments: 2 stored, 2 duplicates, 0 refused"


def test_a_changed_file_is_another_import(jsonl, interrupt):
    interrupt.after(2)
    with pytest.raises(CommandError):
        run(jsonl(*(item(n) for n in range(4))))
    interrupt.after(0)
    file = jsonl(*(item(n) for n in range(5)))
    assert run(file)[0] == "5 comments: 3 stored, 2 duplicates, 0 refused"


def test_the_same_file_is_another_import_for_another_source(jsonl, interrupt, monkeypatch):
    monkeypatch.setattr("comments.management.commands.import_comments.get_source", str)
    file = jsonl(*(item(n) for n in range(4)))
    interrupt.after(2)
    with pytest.raises(CommandError):
        run(file)
    interrupt.after(0)
    assert run(file, "--source", "other")[0].startswith("4 comments: 4 stored")


def test_a_file_that_was_taken_for_another_format_begins_anew(csv_file, interrupt):
    file = csv_file(f"c1,p1,hi,ada,{MOMENT}\nc2,p1,hi,ada,{MOMENT}\n")
    as_text = file.rename(file.with_suffix(".txt"))
    interrupt.after(2)
    with pytest.raises(CommandError):
        run(as_text)
    interrupt.after(0)
    assert run(as_text.rename(file))[0] == "2 comments: 2 stored, 0 duplicates, 0 refused"


def test_of_two_runs_at_once_one_gives_up(jsonl, monkeypatch):
    file = jsonl(*(item(n) for n in range(4)))

    def moved_by_another(items: list[Any], **origin: str) -> IngestReport:
        FileImport.objects.update(position=1)
        return ingest(items, **origin)

    monkeypatch.setattr(imports, "ingest", moved_by_another)
    with pytest.raises(CommandError, match="another run of this command"):
        run(file)
    assert not Comment.objects.exists()


TEXTS = st.text(st.sampled_from('aß😍,"\n\x00'), max_size=5)
ITEMS = st.builds(lambda number, text: item(number, text=text), st.integers(0, 9), TEXTS)
BROKEN = st.sampled_from(["", "  ", "{broken", "[1]", "c1", '"', 'c1,p1,"a"b', 'c,"', "x" * 400])


def csv_row(values: dict[str, Any]) -> str:
    written = StringIO()
    csv.writer(written, lineterminator="").writerow(values.values())
    return written.getvalue()


def attempt(file: Path) -> list[str]:
    """Run the command and let it fail; its lines on standard error."""
    err = StringIO()
    with suppress(CommandError):
        call_command("import_comments", str(file), stdout=StringIO(), stderr=err)
    return err.getvalue().splitlines()


def outcome() -> tuple[Any, ...]:
    """What is stored of an import, which is then forgotten."""
    comments = list(Comment.objects.order_by("external_id").values_list("external_id", "text"))
    job = FileImport.objects.values_list("line", "received", "stored", "duplicates", "refused")
    found = comments, job.get()
    for model in (Comment, SeenComment, FileImport):
        model.objects.all().delete()
    return found


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_wherever_it_is_stopped_the_outcome_is_that_of_one_run(tmp_path, kind, data):
    good = ITEMS.map(csv_row if kind == "csv" else json.dumps)
    lines = data.draw(st.lists(good | BROKEN, min_size=1, max_size=12), "lines")
    chunk = data.draw(st.integers(1, 5), "chunk")
    stops = data.draw(st.lists(st.integers(1, 4), max_size=4), "stopped in the n-th chunk")
    file = tmp_path / f"comments.{kind}"
    file.write_text((HEADER if kind == "csv" else "") + "\n".join(lines) + "\n")
    interrupt = Interruption()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "MAX_BYTES", 300)
        expected = attempt(file), outcome()
        patch.setattr(imports, "CHUNK", chunk)
        patch.setattr(imports, "ingest", interrupt)
        said = []
        for batches in [*stops, 0]:
            interrupt.after(batches)
            said += attempt(file)
            if FileImport.objects.get().finished_at:  # before it came to this stop
                break
        assert (said, outcome()) == expected


KILLED_IN_THE_THIRD_CHUNK = """
import os, signal, sys, django
django.setup()
from django.core.management import call_command
from comments import imports

def move_and_die(job, **values):
    move(job, **values)
    if job.line == 6:
        os.kill(os.getpid(), signal.SIGKILL)

move, imports._move, imports.CHUNK = imports._move, move_and_die, 2
call_command("import_comments", sys.argv[1])
"""


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_a_process_killed_before_a_commit_leaves_the_place_of_the_one_before(jsonl):
    file = jsonl(*(item(n) for n in range(4)), "{broken", *(item(n) for n in range(4, 7)))
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    nobody = "redis://127.0.0.1:9/0"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_THE_THIRD_CHUNK, str(file)],
        cwd=settings.BASE_DIR,
        env=os.environ | {"DATABASE_URL": url.geturl(), "CELERY_BROKER_URL": nobody},
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL
    assert f"{file}:5: line is not JSON" in killed.stderr
    assert Comment.objects.count() == 4
    said, errors = run(file)
    assert said.splitlines() == [
        "Going on after line 4, done on an earlier run.",
        "This run: 4 comments: 3 stored, 0 duplicates, 1 refused",
        "All runs: 8 comments: 7 stored, 0 duplicates, 1 refused",
    ]
    assert errors[0].startswith(f"{file}:5: line is not JSON")  # told again rather than not at all


# Memory -----------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_number_of_lines_that_are_refused(jsonl, monkeypatch):
    monkeypatch.setattr(imports, "CHUNK", 100)

    def peak(lines: int) -> int:
        file = jsonl(item(0), *(f"{{broken {n}" for n in range(lines)))
        with Path(os.devnull).open("w") as nowhere:
            tracemalloc.start()
            call_command("import_comments", str(file), stdout=nowhere, stderr=nowhere)
            used = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return used

    peak(100)  # what is made once
    assert peak(5_000) < 1.2 * peak(500)


def test_a_chunk_holds_fewer_items_where_they_are_long(jsonl, monkeypatch):
    monkeypatch.setattr(imports, "CHUNK_BYTES", 300)
    held = []

    def ingest_and_count(items: list[Any], **origin: str) -> IngestReport:
        held.append(len(items))
        return ingest(items, **origin)

    monkeypatch.setattr(imports, "ingest", ingest_and_count)
    run(jsonl(*(item(n) for n in range(5)), item(5, text="x" * 500), item(6)))
    assert held == [3, 3, 1]
