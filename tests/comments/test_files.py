"""Files of comments are read item by item, from any place on, however broken they are."""

import csv
import tracemalloc
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comments import files
from comments.files import Entry, Place, UnreadableFileError, read_comments

HEADER = "id,post_id,text,author,timestamp\n"
OK = "c{},p1,hi,ada,2024-01-25T10:30:00Z\n"
QUOTE_HINT = " (is a quote not closed?)"
BEGIN = Place()


def read(content: str | bytes, *, as_csv: bool, start: Place = BEGIN) -> list[Entry]:
    raw = content if isinstance(content, bytes) else content.encode()
    return list(read_comments(BytesIO(raw), start, as_csv=as_csv))


def texts(content: str) -> list[tuple[int, Any]]:
    """Line and text, or what is wrong, of each row of a CSV file without its header."""
    entries = read(HEADER + content, as_csv=True)
    return [(entry.line, entry.error or entry.item.get("text")) for entry in entries]


def test_one_json_value_a_line_and_blank_lines_count_as_lines():
    entries = read('{"a": 1}\n\n  \nnull\n{broken\n[2]', as_csv=False)
    assert [(entry.line, entry.item) for entry in entries] == [
        (1, {"a": 1}),
        (4, None),
        (5, None),
        (6, [2]),
    ]
    assert [entry.error[:11] for entry in entries] == ["", "", "is not JSON", ""]
    assert entries[-1].end == Place(29, 6)


def test_json_that_is_nested_too_deeply_is_refused():
    assert "recursion" in read("[" * 100_000, as_csv=False)[0].error


@pytest.mark.parametrize(("as_csv", "content"), [(False, '{"id": 1}'), (True, HEADER + "1")])
def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_data(as_csv, content):
    raw = b"\xef\xbb\xbf" + content.replace("\n", "\r\n").encode() + b"\r\n"
    assert str(read(raw, as_csv=as_csv)[0].item["id"]) == "1"


def test_a_csv_record_may_hold_line_breaks_and_quotes():
    record = OK.replace("hi", '"two\n\n""lines"""')
    assert texts(record + "\n" + OK) == [(2, 'two\n\n"lines"'), (6, "hi")]


def test_a_csv_row_that_is_too_short_or_has_too_large_a_field_costs_only_itself():
    large = OK.replace("hi", "x" * 200_000)
    assert texts("c1,p1\n" + large + OK) == [
        (2, None),
        (3, "is not CSV: field larger than field limit (131072)"),
        (4, "hi"),
    ]


def test_a_csv_row_that_is_too_long_is_refused_rather_than_cut():
    last = "id,post_id,author,timestamp,text\n"
    row = "c1,p1,ada,2024-01-25T10:30:00Z,{}\n"
    too_long, quoted = read(last + row.format("yes, please") + row.format('"a, b"'), as_csv=True)
    assert (too_long.line, too_long.item) == (2, None)
    assert too_long.error == "has 6 cells, the header has 5 (is a comma not quoted?)"
    assert quoted.item["text"] == "a, b"


@pytest.mark.parametrize(
    ("cells", "followers", "verified"),
    [
        ("12300,true", 12_300, True),
        ("0,False", 0, False),
        (",", None, None),
        ("many,yes", "many", "yes"),  # for the checks to refuse
        ("1" * 9_000 + ",1", "1" * 9_000, 1),
    ],
)
def test_csv_may_tell_followers_and_whether_an_author_is_verified(cells, followers, verified):
    header = HEADER.replace("\n", ",author_followers,author_verified\n")
    [entry] = read(header + OK.replace("\n", f",{cells}\n"), as_csv=True)
    facts = entry.item["author_followers"], entry.item["author_verified"]
    assert facts == (followers, verified)
    assert entry.item["text"] == "hi"


@pytest.mark.parametrize("rows", [1, 5_000], ids=["to the end of the file", "further"])
def test_a_quote_that_is_not_closed_costs_only_its_own_line(rows):
    (line, problem), *rest = texts(OK.replace("hi", '"oh') + OK * rows)
    assert line == 2
    assert problem.startswith("is not CSV: ")
    assert problem.endswith(QUOTE_HINT)
    assert rest == [(line, "hi") for line in range(3, rows + 3)]


def test_a_quote_that_is_not_closed_takes_no_later_comment_into_its_text():
    read = texts(OK.replace("hi", '"oh') + OK.replace("hi", '"well, yes"'))
    assert read[0][1].startswith("is not CSV: ',' expected after '\"'")
    assert read[1:] == [(3, "well, yes")]


@pytest.mark.parametrize("as_csv", [False, True])
def test_a_line_that_is_too_long_is_refused_unread(as_csv, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    lines = [HEADER.strip(), "1" * 100, "2" * 99, "3" * 5_000, "4"]
    entries = read("\n".join(lines if as_csv else lines[1:]), as_csv=as_csv)
    too_long = "is longer than 100 bytes"
    assert [entry.error for entry in entries] == [too_long, "", too_long, ""]
    assert [entry.line - entries[0].line for entry in entries] == [0, 1, 2, 3]


def test_a_csv_record_of_endless_fields_is_refused(monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1_000)
    endless = '","\n' * 400  # each line closes the quote of the one before, and opens another
    read = texts('c1,p1,"' + endless + OK)
    assert read[0] == (2, "is longer than 1000 bytes" + QUOTE_HINT)
    assert read[-1] == (402, "hi")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("id,text\nc1,hello\n", "line 1: the header lacks post_id, author, timestamp"),
        ("text,id,text,post_id,author,timestamp\n", "line 1: the header has more than one text"),
        (
            HEADER.replace("\n", ",author_verified,author_verified\n"),
            "line 1: the header has more than one author_verified",
        ),
        ('"id\n', "line 1: the header is not CSV: unexpected end of data"),
        ("x" * 2**21, "line 1: the header is not CSV: is longer than 1048576 bytes"),
        ("\n", "line 1: the header lacks id, "),
    ],
)
def test_a_csv_file_without_its_header_cannot_be_read(content, problem):
    with pytest.raises(UnreadableFileError, match=problem):
        read(content, as_csv=True)


def csv_row(fields: list[str]) -> str:
    written = StringIO()
    csv.writer(written, lineterminator="").writerow(fields)
    return written.getvalue()


BROKEN = st.text(st.sampled_from('{}[]"1,\n\r ß\ufeff'), max_size=9) | st.just("x" * 120)
JSON_LINES = st.lists(BROKEN | st.just('{"id": "c1", "text": "ß\u2028"}'))
CSV_ROWS = st.lists(BROKEN | st.lists(BROKEN, min_size=1, max_size=6).map(csv_row))


@pytest.mark.parametrize("as_csv", [False, True])
@given(data=st.data())
def test_from_the_end_of_any_entry_on_the_same_entries_follow(as_csv, data):
    lines = data.draw(CSV_ROWS if as_csv else JSON_LINES)
    content = (HEADER if as_csv else "") + "\n".join(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "MAX_BYTES", 100)
        entries = read(content, as_csv=as_csv)
        for done, entry in enumerate(entries, start=1):
            assert read(content, as_csv=as_csv, start=entry.end) == entries[done:]
    raw = content.encode()
    for entry in entries:
        assert raw[: entry.end.position].count(b"\n") in (entry.end.line, entry.end.line - 1)


@pytest.mark.parametrize("content", ["x" * 10**8, '"' + "x\n" * (10**7)], ids=["line", "quote"])
def test_memory_is_bounded_however_long_a_line_or_a_record_is(tmp_path: Path, content):
    file = tmp_path / "comments.csv"
    file.write_text(HEADER + content)
    with file.open("rb") as opened:
        entries = read_comments(opened, BEGIN, as_csv=True)
        tracemalloc.start()
        assert next(entries).error
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 6 * files.MAX_BYTES
