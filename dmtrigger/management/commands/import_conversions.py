import os
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from django import db
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from comments.files import Entry, UnreadableFileError, read_csv
from comments.parsing import ItemError
from dmtrigger import conversions
from dmtrigger.conversions import Report

COLUMNS = ("token", "order_id", "value", "currency", "at")
CHUNK = 1_000  # rows stored at once
KEPT = "What was stored is kept, and to import the file again stores nothing twice."
INTERRUPTED = 130  # the exit code that shells know for Ctrl-C


class Command(BaseCommand):
    help = (
        "Import sales that messages led to from a .csv file with the columns token, order_id, "
        "value, currency and at; token is what the short link added to the shop's address (ta=…). "
        "What cannot be stored is named by line and field, and the import goes on. An order is "
        "stored once, however often it is imported; one that was told before with other values "
        "is named and stays as it was."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *, file: Path, **_: Any) -> None:
        try:
            with file.open("rb") as content:
                self._import(file, content)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror or error}") from error
        except UnreadableFileError as error:
            raise CommandError(f"{file}: {error}") from error
        except db.Error as error:
            raise CommandError(f"The database failed: {str(error).strip()}\n{KEPT}") from error
        except KeyboardInterrupt:
            self.stderr.write(f"\nStopped. {KEPT}")
            raise SystemExit(INTERRUPTED) from None

    def _import(self, file: Path, content: BufferedReader) -> None:
        total = Report()
        size = os.fstat(content.fileno()).st_size
        with tqdm(total=size, unit="B", unit_scale=True, disable=None) as progress:
            for chunk in _chunks(read_csv(content, COLUMNS)):
                told, report = _store(chunk)
                progress.clear()
                for line, reason in sorted(told):
                    self.stderr.write(f"{file}:{line}: {reason}")
                total.stored += report.stored
                total.known += report.known
                total.kept += report.kept
                total.rejected += report.rejected
                progress.update(chunk[-1].end.position - progress.n)
        self.stdout.write(_sentence(total))
        if not total.accepted:
            raise CommandError(f"{file}: there is no sale in it that could be stored")


def _store(chunk: list[Entry]) -> tuple[list[tuple[int, str]], Report]:
    """Store a chunk; what is to be said of its lines, and the numbers."""
    readable = [entry for entry in chunk if not entry.error]
    report = conversions.record([entry.item for entry in readable])
    told = [
        (readable[problem.index].line, f"{problem.field} {problem.reason}")
        for problem in (*report.rejected, *report.kept)
    ]
    for entry in chunk:
        if entry.error:
            told.append((entry.line, f"line {entry.error}"))
            report.rejected.append(ItemError(-1, None, "line", entry.error))
    return told, report


def _chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    for entry in entries:
        chunk.append(entry)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _sentence(total: Report) -> str:
    numbers = (total.stored, total.known, len(total.kept), len(total.rejected))
    text = "{:,} sales: {:,} stored, {:,} known, {:,} told otherwise before, {:,} refused"
    return text.format(sum(numbers), *numbers)
