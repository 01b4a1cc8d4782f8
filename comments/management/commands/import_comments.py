import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

from django import db
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from comments import imports
from comments.files import Place, UnreadableFileError, is_csv, read_comments
from comments.models import FileImport
from comments.parsing import MAX_ID_LENGTH, FieldError, parse_text
from comments.sources import SourceError, get_source

KEPT = "What was stored is kept, and the same command goes on from there."
INTERRUPTED = 130  # the exit code that shells know for Ctrl-C


class Command(BaseCommand):
    help = (
        "Import comments from a file: .csv with the columns id, post_id, text, author and "
        "timestamp, any other with one JSON object of these a line. What cannot be read is named "
        "by line and field, and the import goes on. However it was stopped, the same command "
        "goes on where it was. Importing a file again stores nothing twice."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--source",
            default=settings.COMMENT_SOURCE,
            help="the platform that the ids are of (default: %(default)s)",
        )
        parser.add_argument(
            "--account",
            default="",
            help="the brand's account whose posts they are under (default: the source's only one)",
        )
        parser.add_argument(
            "--restart",
            action="store_true",
            help="begin at the first line, also if an earlier run has got further",
        )

    def handle(self, *, file: Path, source: str, account: str, restart: bool, **_: Any) -> None:
        try:
            if account:
                parse_text("--account", account, MAX_ID_LENGTH)
            get_source(source)  # whose comments nobody could answer later
            with file.open("rb") as content:
                self._import(file, content, source, account, restart=restart)
        except SourceError as error:
            raise CommandError(str(error)) from error
        except FieldError as error:
            raise CommandError(f"{error.field} {error}") from error
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror or error}") from error
        except (UnreadableFileError, imports.AnotherRunError) as error:
            raise CommandError(f"{file}: {error}") from error
        except db.Error as error:
            raise CommandError(f"The database failed: {str(error).strip()}\n{KEPT}") from error
        except KeyboardInterrupt:
            self.stderr.write(f"\nStopped. {KEPT}")
            raise SystemExit(INTERRUPTED) from None

    def _import(
        self, file: Path, content: BufferedReader, source: str, account: str, *, restart: bool
    ) -> None:
        size = _size(content)
        job = imports.find(content, file.name, source)
        self._begin(job, file.name, restart=restart)
        before = _numbers(job)

        def tell(line: int, reason: str) -> None:
            progress.clear()
            self.stderr.write(f"{file}:{line}: {reason}")

        place = Place(job.position, job.line)
        entries = read_comments(content, place, as_csv=is_csv(file.name))
        with _progress(size, job.position) as progress:
            for chunk in imports.chunks(entries, job.position):
                imports.store(job, chunk, tell, account)
                progress.update(job.position - progress.n)
        imports.finish(job)
        self._say_numbers(before, _numbers(job))
        if job.received and job.refused == job.received:
            raise CommandError(f"{file}: there is no comment in it that could be read")

    def _begin(self, job: FileImport, name: str, *, restart: bool) -> None:
        """Say where the import begins, and have it begin there."""
        if job.finished_at:
            self.stdout.write(
                f"This file was imported before, until {job.finished_at:%Y-%m-%d %H:%M} UTC."
            )
        # Lines that were read as JSON, and refused, may be good ones now that the file is .csv.
        if restart or job.finished_at or is_csv(job.name) != is_csv(name):
            imports.restart(job, name)
        if job.line:
            self.stdout.write(f"Going on after line {job.line:,}, done on an earlier run.")

    def _say_numbers(self, before: list[int], after: list[int]) -> None:
        this_run = [a - b for a, b in zip(after, before, strict=True)]
        if this_run == after:
            self.stdout.write(_sentence(after))
        else:
            self.stdout.write(f"This run: {_sentence(this_run)}\nAll runs: {_sentence(after)}")


def _size(content: BufferedReader) -> int:
    """The file's size in bytes. Raises UnreadableFileError for what cannot be imported."""
    status = os.fstat(content.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFileError("is not a regular file, and no other can be read twice")
    if status.st_size == 0:
        raise UnreadableFileError("is empty")
    return status.st_size


def _progress(size: int, done: int) -> "tqdm[Any]":
    return tqdm(total=size, initial=done, unit="B", unit_scale=True, disable=None)


def _numbers(job: FileImport) -> list[int]:
    return [job.received, job.stored, job.duplicates, job.refused]


def _sentence(numbers: list[int]) -> str:
    return "{:,} comments: {:,} stored, {:,} duplicates, {:,} refused".format(*numbers)
