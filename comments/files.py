"""Read comments from JSON Lines and CSV files, item by item, from any place on.

However the file is broken, not much more than `MAX_BYTES` is held of it, and a bad record
costs the line it begins on: reading goes on with the next.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import Any, BinaryIO, NamedTuple

COLUMNS = ("id", "post_id", "text", "author", "timestamp")
OPTIONAL_COLUMNS = ("author_followers", "author_verified")
# Of a line, or of a CSV record with its line breaks. The longest text that may come in, all of it
# escaped as JSON allows, is an eighth of this.
MAX_BYTES = 2**20


class UnreadableFileError(ValueError):
    """Nothing can be read from the file; the text says why."""


class Place(NamedTuple):
    """A place between two lines of a file: the bytes and the lines before it."""

    position: int = 0
    line: int = 0


class Entry(NamedTuple):
    """One item of a file: the line it starts on (from 1), its value or why it has none, its end."""

    line: int
    item: Any
    error: str
    end: Place


def is_csv(name: str) -> bool:
    """Whether a file is read as CSV: its name ends with .csv. Any other is read as JSON Lines."""
    return PurePath(name).suffix.lower() == ".csv"


def read_comments(file: BinaryIO, start: Place, *, as_csv: bool) -> Iterator[Entry]:
    """The entries of a file from `start` on, which is the first place or an entry's end.

    A CSV file has a header with `COLUMNS`, and perhaps `OPTIONAL_COLUMNS`, which is read from its
    first line wherever `start` is; any other has one JSON object a line. Text is UTF-8; bytes that
    are not become U+FFFD. Raises UnreadableFileError for a header that lacks a column, or has one
    twice.
    """
    lines = _Lines(file)
    read = _csv_records(lines, COLUMNS, OPTIONAL_COLUMNS) if as_csv else _json_records(lines)
    if start.position:
        lines.go_to(start)
    return _entries(lines, read)


def read_csv(file: BinaryIO, columns: Sequence[str]) -> Iterator[Entry]:
    """The entries of a CSV file of anything else, whose header has these columns; all are text."""
    lines = _Lines(file)
    return _entries(lines, _csv_records(lines, columns, ()))


class _Lines(Iterator[str]):
    """The lines of a file as text. `start` is where the record began that is being read, `place`
    is behind the last line given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.go_to(Place())

    def go_to(self, place: Place) -> None:
        self._file.seek(place.position)
        self.start = self.place = place

    def begin_record(self) -> None:
        self.start = self.place

    def skip_line(self) -> None:
        """Leave the record: go behind the line it began on, however long that is."""
        self._file.seek(self.start.position)
        while (part := self._file.readline(MAX_BYTES)) and not part.endswith(b"\n"):
            pass
        self.place = Place(self._file.tell(), self.start.line + 1)

    def __next__(self) -> str:
        """Raises ValueError where the record gets too long; what follows is `skip_line`."""
        room = MAX_BYTES - (self.place.position - self.start.position)
        raw = self._file.readline(room + 1)
        if not raw:
            raise StopIteration
        if len(raw) > room:
            raise ValueError(f"is longer than {MAX_BYTES} bytes{_hint(self)}")
        self.place = Place(self.place.position + len(raw), self.place.line + 1)
        text = raw.decode("utf-8", "replace")
        return text.removeprefix("\ufeff") if self.place.line == 1 else text


def _entries(lines: _Lines, read: Callable[[], Any]) -> Iterator[Entry]:
    """`read` gives the next item; it raises ValueError for one that is none, and StopIteration."""
    while True:
        lines.begin_record()
        item, error = None, ""
        try:
            item = read()
        except StopIteration:
            return
        except ValueError as problem:
            error = str(problem)
            lines.skip_line()
        yield Entry(lines.start.line + 1, item, error, lines.place)


def _json_records(lines: _Lines) -> Callable[[], Any]:
    def read() -> Any:
        while not (line := next(lines)).strip():
            lines.begin_record()
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"is not JSON: {error}") from error

    return read


def _csv_records(
    lines: _Lines, columns: Sequence[str], optional: Sequence[str]
) -> Callable[[], Any]:
    # Strict: otherwise a quote that is not closed makes one comment of several, without a word.
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
    except (ValueError, csv.Error) as error:
        raise UnreadableFileError(f"line 1: the header is not CSV: {error}") from error
    missing = [column for column in columns if column not in header]
    if missing:
        raise UnreadableFileError(f"line 1: the header lacks {', '.join(missing)}")
    twice = [column for column in (*columns, *optional) if header.count(column) > 1]
    if twice:
        raise UnreadableFileError(f"line 1: the header has more than one {', '.join(twice)}")

    def read() -> Any:
        try:
            while not (row := next(reader)):
                lines.begin_record()
        except csv.Error as error:
            raise ValueError(f"is not CSV: {error}{_hint(lines)}") from error
        if len(row) > len(header):  # which of its commas belong to a text, nobody can tell
            cells = f"has {len(row)} cells, the header has {len(header)}"
            raise ValueError(f"{cells} (is a comma not quoted?)")
        item: dict[str, Any] = dict(zip(header, row, strict=False))  # a row may be too short
        return item | {name: _value(item[name]) for name in optional if name in item}

    return read


def _value(cell: str) -> Any:
    """A number, a boolean or nothing as JSON has it; any other text is left for the checks."""
    if re.fullmatch("[0-9]{1,10}", cell):  # of an endless one Python makes no number
        return int(cell)
    return {"": None, "true": True, "false": False}.get(cell.lower(), cell)


def _hint(lines: _Lines) -> str:
    several = lines.place.line - lines.start.line > 1
    return " (is a quote not closed?)" if several else ""
