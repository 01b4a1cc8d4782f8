from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from comments.files import Entry, read_comments
from comments.ingest import IngestReport, ingest
from comments.parsing import ItemError
from comments.sources import SourceError, get_source

CHUNK = 2_000  # comments stored at once


class Command(BaseCommand):
    help = (
        "Import comments from a file: .csv with the columns id, post_id, text, author and "
        "timestamp, any other with one JSON object of these a line. What cannot be read is named "
        "by line and field, and the import goes on. Importing a file again stores nothing twice."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--source",
            default=settings.COMMENT_SOURCE,
            help="the platform that the ids are of (default: %(default)s)",
        )

    def handle(self, *, file: Path, source: str, **_: Any) -> None:
        total = IngestReport()
        try:
            get_source(source)  # whose comments nobody could answer later
        except SourceError as error:
            raise CommandError(str(error)) from error
        try:
            with file.open("rb") as lines, _progress(file) as progress:
                entries = read_comments(file, _counted(lines, progress))
                while chunk := list(islice(entries, CHUNK)):
                    report = _store(chunk, source)
                    for line, refused in _located(chunk, report.errors):
                        progress.clear()
                        self.stderr.write(f"{file}:{line}: {refused.field} {refused.message}")
                    total.add(report)
        except (OSError, ValueError) as error:
            raise CommandError(f"{file}: {error}") from error
        self.stdout.write(str(total))
        if total.errors and len(total.errors) == total.received:
            raise CommandError(f"{file}: there is no comment in it that could be read")


def _progress(file: Path) -> "tqdm[Any]":
    return tqdm(total=file.stat().st_size, unit="B", unit_scale=True, disable=None)


def _counted(lines: BinaryIO, progress: "tqdm[Any]") -> Iterator[bytes]:
    for line in lines:
        progress.update(len(line))
        yield line


def _store(chunk: list[Entry], source: str) -> IngestReport:
    """Ingest a chunk; entries that are no item keep their place among the errors."""
    readable = [index for index, entry in enumerate(chunk) if not entry.error]
    report = ingest([chunk[index].item for index in readable], source=source)
    unreadable = [
        ItemError(index, None, "line", entry.error)
        for index, entry in enumerate(chunk)
        if entry.error
    ]
    refused = [replace(error, index=readable[error.index]) for error in report.errors]
    report.received = len(chunk)
    report.errors = sorted(refused + unreadable, key=lambda error: error.index)
    return report


def _located(chunk: list[Entry], errors: list[ItemError]) -> Iterator[tuple[int, ItemError]]:
    return ((chunk[error.index].line, error) for error in errors)
