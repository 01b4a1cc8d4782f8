"""Read comments from JSON Lines and CSV files, item by item."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

COLUMNS = ("id", "post_id", "text", "author", "timestamp")


class Entry(NamedTuple):
    """One item of a file: the line it starts on (from 1), and its value or why it has none."""

    line: int
    item: Any
    error: str = ""


def read_comments(path: Path, raw: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of a file, given as its raw lines.

    A `.csv` file has a header with `COLUMNS`; any other has one JSON object a line. Text is
    UTF-8; bytes that are not become U+FFFD. Raises ValueError for a header that lacks a column.
    """
    lines = (line.decode("utf-8", "replace").removeprefix("\ufeff") for line in raw)
    return _read_csv(lines) if path.suffix.lower() == ".csv" else _read_json_lines(lines)


def _read_json_lines(lines: Iterable[str]) -> Iterator[Entry]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield Entry(number, json.loads(line))
        except (ValueError, RecursionError) as error:
            yield Entry(number, None, f"is not JSON: {error}")


def _read_csv(lines: Iterable[str]) -> Iterator[Entry]:
    reader = csv.DictReader(lines)
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"line 1: the header lacks {', '.join(missing)}")
    start = reader.line_num + 1
    while True:
        try:
            yield Entry(start, next(reader))
        except StopIteration:
            return
        except csv.Error as error:
            yield Entry(start, None, f"is not CSV: {error}")
        start = reader.line_num + 1
