"""`manage.py import_comments`: whole files, line by line."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from comments.management.commands import import_comments
from comments.models import Comment

pytestmark = pytest.mark.django_db


def item(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"c{number}",
        "post_id": "p1",
        "text": "how much?",
        "author": "ada",
        "timestamp": "2024-01-25T10:30:00Z",
    } | changes


def run(file: Path) -> tuple[str, list[str]]:
    """What the command says on standard output, and its lines on standard error."""
    out, err = StringIO(), StringIO()
    call_command("import_comments", str(file), stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue().splitlines()


@pytest.fixture
def jsonl(tmp_path):
    def write(*lines: Any) -> Path:
        file = tmp_path / "comments.jsonl"
        text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        file.write_text("\n".join(text) + "\n")
        return file

    return write


def test_a_file_is_stored_and_the_second_import_is_all_duplicates(jsonl):
    file = jsonl(*(item(n) for n in range(5)))
    assert run(file) == ("5 comments: 5 stored, 0 duplicates, 0 refused", [])
    assert run(file) == ("5 comments: 0 stored, 5 duplicates, 0 refused", [])


def test_what_cannot_be_read_is_named_by_line_and_field_and_the_rest_is_stored(jsonl):
    file = jsonl(item(1), "{broken", "", item(2, text=""), "[1]", item(3), item(4, post_id=None))
    said, errors = run(file)
    assert said == "6 comments: 2 stored, 0 duplicates, 4 refused"
    assert [error.removeprefix(f"{file}:").split(":")[0] for error in errors] == list("2457")
    assert errors[0].startswith(f"{file}:2: line is not JSON")
    assert errors[1] == f"{file}:4: text must not be empty"
    assert errors[3] == f"{file}:7: post_id is missing"


def test_line_numbers_hold_beyond_the_first_chunk(jsonl, monkeypatch):
    monkeypatch.setattr(import_comments, "CHUNK", 2)
    _, errors = run(jsonl(item(1), item(2), item(3), item(4), item(5, author=7)))
    assert errors[0].endswith(":5: author must be text")


def test_bytes_that_are_not_utf_8_become_replacement_characters(tmp_path):
    file = tmp_path / "comments.jsonl"
    file.write_bytes(
        json.dumps(item(1)).replace("how", "h\udcff").encode("utf-8", "surrogateescape")
    )
    run(file)
    assert Comment.objects.get().text == "h� much?"


def test_a_csv_file_with_quotes_and_line_breaks(tmp_path):
    file = tmp_path / "comments.csv"
    file.write_text(
        "id,post_id,text,author,timestamp\n"
        'c1,p1,"two\nlines, ""quoted""",ada,2024-01-25T10:30:00Z\n'
        "c2,p1,,ada,2024-01-25T10:30:00Z\n"
    )
    said, errors = run(file)
    assert said == "2 comments: 1 stored, 0 duplicates, 1 refused"
    assert errors == [f"{file}:4: text must not be empty"]
    assert Comment.objects.get().text == 'two\nlines, "quoted"'


def test_a_csv_row_that_is_too_short_or_too_large_is_named(tmp_path):
    file = tmp_path / "comments.csv"
    file.write_text(
        "id,post_id,text,author,timestamp\nc1,p1\n"
        f"c2,p1,{'x' * 200_000},ada,2024-01-25T10:30:00Z\nc3,p1,ok,ada,2024-01-25T10:30:00Z\n"
    )
    said, errors = run(file)
    assert said == "3 comments: 1 stored, 0 duplicates, 2 refused"
    assert errors[0] == f"{file}:2: text is missing"
    assert errors[1].startswith(f"{file}:3: line is not CSV: field larger")


def test_a_csv_header_that_lacks_a_column_stops_the_import(tmp_path):
    file = tmp_path / "comments.csv"
    file.write_text("id,text\nc1,hello\n")
    with pytest.raises(CommandError, match="line 1: the header lacks post_id, author, timestamp"):
        run(file)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        run(tmp_path / "none.jsonl")


def test_real_comments_come_in_whole_and_once():
    file = Path(__file__).parents[3] / "shared" / "data" / "comments_real.jsonl"
    if not file.exists():
        pytest.skip("the folder with real comments is not here")
    ids = {json.loads(line)["id"] for line in file.open()}
    said, errors = run(file)
    assert Comment.objects.count() == len(ids) - len(errors)
    assert errors == [] or all("characters" in error or "empty" in error for error in errors)
    assert " 0 stored, " in run(file)[0]
    assert said.split(" comments")[0] == str(sum(1 for _ in file.open()))


def test_a_file_in_which_nothing_can_be_read_is_an_error(jsonl):
    with pytest.raises(CommandError, match="no comment in it that could be read"):
        run(jsonl("not json", item(1, text="")))


def test_an_unknown_source_is_refused_before_anything_is_stored(jsonl):
    with pytest.raises(CommandError, match="there are: fake_platform"):
        call_command("import_comments", str(jsonl(item(1))), "--source", "myspace")
    assert not Comment.objects.exists()
