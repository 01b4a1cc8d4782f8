"""Files of comments that people have labelled: CSV with the columns text and label, and more.

What is wrong with a file is said with its name, the line and the field. A cell that a spreadsheet
would take for a formula has an apostrophe before it (`protect`, in `comments.csv_export`); it is
taken off when read.
"""

import csv
import re
import unicodedata
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from intents.classifier import LABELS

BUYING = "purchase_intent"
NOT_BUYING = "not_purchase_intent"
"""The label of an example of which is known only that nobody buys there; none of `LABELS`."""
MAX_SLICES = 30
"""A column with more different values than this names its rows, not kinds of them."""

_PROTECTED = re.compile(r"'+[=+\-@\t\r\n]")


class DataError(ValueError):
    """A file of examples cannot be used; the message names the file, the line and the field."""


class Example(NamedTuple):
    """A comment and what a person says it is."""

    text: str
    label: str
    slices: dict[str, str]
    """What kind of example it is: values by column, such as {"slice": "refuses"}."""


def read(path: Path) -> list[Example]:
    """Read examples to learn from: the columns text and label, each text once.

    Raises DataError for a missing column, an empty or unknown value and a text that stands there
    twice (it would be learnt from and tested with), and OSError when the file cannot be read.
    """
    rows = _rows(path, ("text", "label"))
    first_lines: dict[str, int] = {}
    for line, row in rows:
        if (key := same(row["text"])) in first_lines:
            raise DataError(f"{path}, line {line}, text: stands already in line {first_lines[key]}")
        first_lines[key] = line
    return _examples(path, rows, "label", _label)


def read_sample(path: Path) -> list[Example]:
    """Read examples to measure with: the columns text and label, or text and pi.

    pi is 1 for purchase intent and 0 for anything else (`NOT_BUYING`). A text may stand there as
    often as people wrote it. Raises DataError and OSError as `read` does.
    """
    if "label" not in (columns := _columns(path)) and "pi" in columns:
        return _examples(path, _rows(path, ("text", "pi")), "pi", _label_of_pi)
    return _examples(path, _rows(path, ("text", "label")), "label", _label)


def same(text: str) -> str:
    """One form for texts that differ only in case, spaces and the way letters are encoded."""
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def _examples(
    path: Path,
    rows: list[tuple[int, dict[str, str]]],
    answer: str,
    label_of: Callable[[str], str],
) -> list[Example]:
    names = [name for name in (rows[0][1] if rows else ()) if name not in ("text", answer)]
    kinds = [name for name in names if len({row[name] for _, row in rows}) <= MAX_SLICES]
    examples = []
    for line, row in rows:
        try:
            label = label_of(row[answer])
        except ValueError as error:
            raise DataError(f"{path}, line {line}, {answer}: {error}") from error
        slices = {name: row[name] for name in kinds if row[name]}
        examples.append(Example(row["text"], label, slices))
    return examples


def _label(value: str) -> str:
    if value not in LABELS:
        raise ValueError(f"{value!r} is none of {', '.join(LABELS)}")
    return value


def _label_of_pi(value: str) -> str:
    if value not in ("0", "1"):
        raise ValueError(f"{value!r} is neither 0 nor 1")
    return BUYING if value == "1" else NOT_BUYING


def _columns(path: Path) -> list[str]:
    return next((cells for _, cells in _records(path)), [])


def _rows(path: Path, fields: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a file with the line that each ends in; the fields are there and not empty."""
    header = _columns(path)
    if missing := [name for name in fields if name not in header]:
        raise DataError(f"{path}, line 1: no column {', '.join(missing)}")
    if twice := [name for name in header if header.count(name) > 1]:
        raise DataError(f"{path}, line 1: the column {twice[0]!r} is there twice")
    rows = []
    for line, cells in islice(_records(path), 1, None):
        if len(cells) > len(header):
            raise DataError(f"{path}, line {line}: more cells than columns; quote the text")
        cells += [""] * (len(header) - len(cells))
        row = {name: _as_written(cell) for name, cell in zip(header, cells, strict=True)}
        for name in fields:
            if not row[name].strip():
                raise DataError(f"{path}, line {line}, {name}: empty")
        rows.append((line, row))
    return rows


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The header and the rows, each with the line that it ends in; empty lines are none."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)  # a quote that is not closed is an error
        try:
            yield from ((reader.line_num, cells) for cells in reader if cells)
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8: {error}") from error
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}") from error


def _as_written(cell: str) -> str:
    return cell[1:] if _PROTECTED.match(cell) else cell
