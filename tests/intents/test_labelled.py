"""Files of labelled comments: what is wrong in them is named, what is good comes as written."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comments.csv_export import protect
from intents import labelled
from intents.labelled import DataError, Example


@pytest.fixture
def write(tmp_path: Path):
    def write_rows(*rows: tuple[str, ...]) -> Path:
        path = tmp_path / "labelled.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
        return path

    return write_rows


def test_an_example_has_text_label_and_the_kinds_it_is_of(write):
    path = write(("text", "label", "slice"), ("price?", "purchase_intent", "short"))
    assert labelled.read(path) == [Example("price?", "purchase_intent", {"slice": "short"})]


def test_a_column_that_names_rows_is_no_kind(write):
    rows = [(str(i), f"text {i}", "other", "random") for i in range(31)]
    path = write(("id", "text", "label", "sample"), *rows)
    assert {tuple(example.slices) for example in labelled.read(path)} == {("sample",)}


def test_an_empty_cell_is_of_no_kind(write):
    path = write(("text", "label", "slice"), ("price?", "purchase_intent", ""), ("hi", "other"))
    assert [example.slices for example in labelled.read(path)] == [{}, {}]


def test_a_sample_may_only_tell_who_buys(write):
    path = write(("text", "pi"), ("price?", "1"), ("so pretty", "0"))
    labels = [example.label for example in labelled.read_sample(path)]
    assert labels == ["purchase_intent", labelled.NOT_BUYING]


def test_who_only_tells_who_buys_teaches_nothing(write):
    with pytest.raises(DataError, match="line 1: no column label"):
        labelled.read(write(("text", "pi"), ("price?", "1")))


def test_a_sample_may_have_a_text_as_often_as_people_wrote_it(write):
    path = write(("text", "label"), ("first", "other"), ("FIRST", "other"))
    assert len(labelled.read_sample(path)) == 2
    with pytest.raises(DataError, match="line 3, text: stands already in line 2"):
        labelled.read(path)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("how much?", "buyer"), "line 3, label: 'buyer' is none of purchase_intent"),
        (("how much?", ""), "line 3, label: empty"),
        (("how much?",), "line 3, label: empty"),
        (("  ", "praise"), "line 3, text: empty"),
        (("oh", " so nice", "praise"), "line 3: more cells than columns; quote the text"),
    ],
)
def test_a_bad_row_is_named_by_line_and_field(write, row, says):
    path = write(("text", "label"), ("nice one", "praise"), row)
    for read in (labelled.read, labelled.read_sample):
        with pytest.raises(DataError, match=says):
            read(path)


def test_a_bad_pi_is_named_by_line_and_field(write):
    with pytest.raises(DataError, match="line 2, pi: 'yes' is neither 0 nor 1"):
        labelled.read_sample(write(("text", "pi"), ("price?", "yes")))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"text,class\nhi,other\n", "line 1: no column label"),
        (b"", "line 1: no column text, label"),
        (b"text,label,text\nhi,other,ho\n", "line 1: the column 'text' is there twice"),
        ("text,label\nqué bonito,praise\n".encode("latin-1"), "not UTF-8"),
        (b'text,label\nhi,other\n"never closed,other\n', "line 3: unexpected end"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes, says: str):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        labelled.read(path)


def test_a_file_as_excel_saves_it_is_read(tmp_path: Path):
    path = tmp_path / "excel.csv"
    path.write_bytes(b"\xef\xbb\xbftext,label\r\nhi,other\r\n\r\n")
    assert [example.text for example in labelled.read(path)] == ["hi"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "'=", "''@"])
def test_what_a_spreadsheet_would_take_for_a_formula_is_text_there_and_comes_back(write, start):
    text = f"{start}HYPERLINK(A1)"
    cell = protect(text)
    assert cell == f"'{text}"
    assert labelled.read(write(("text", "label"), (cell, "spam")))[0].text == text


def test_what_is_no_formula_stays_as_it_is():
    assert protect("'sup, 2+2=4") == "'sup, 2+2=4"


@given(st.text(alphabet="'=+-@\t\r\n a"))
def test_protecting_changes_no_text_and_leaves_no_formula(text: str):
    cell = protect(text)
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n") or not cell
    assert labelled._as_written(cell) == text
