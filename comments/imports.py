"""Import a file of comments in chunks; how far that has come is stored with each of them.

So an import that was killed goes on where it was: the row of its file, found by the digest of the
content, tells. This is the only writer of `FileImport`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from typing import Any

from django.db import reset_queries, transaction
from django.db.models.functions import Now
from django.utils import timezone

from comments.files import Entry
from comments.ingest import ingest
from comments.models import FileImport
from comments.parsing import storable

# Comments stored at once. With 2,000 a million take 3 % longer; with 10,000 they take 5 % less, and
# 25 MiB more.
CHUNK = 5_000
CHUNK_BYTES = 4 * 2**20  # or fewer, where they are long: so much of the file is held at once


class AnotherRunError(RuntimeError):
    """Somebody else imports the same file now, and has moved on from the place we knew."""


def find(file: BufferedReader, name: str, source: str) -> FileImport:
    """The import of this content from `source`, as far as it has come; a new one if there is none.

    Reads the whole file.
    """
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    job, _ = FileImport.objects.get_or_create(
        source=source, digest=digest, defaults={"name": storable(name)}
    )
    return job


def restart(job: FileImport, name: str) -> None:
    """Have the import begin at the start of the file, which is called `name` now."""
    FileImport.objects.filter(pk=job.pk).update(
        name=storable(name),
        position=0,
        line=0,
        received=0,
        stored=0,
        duplicates=0,
        refused=0,
        started_at=Now(),
        finished_at=None,
    )
    job.refresh_from_db()


def chunks(entries: Iterable[Entry], start: int) -> Iterator[list[Entry]]:
    """The entries in lists of `CHUNK`, or of `CHUNK_BYTES` if that is less; `start` in bytes."""
    chunk: list[Entry] = []
    for entry in entries:
        chunk.append(entry)
        if len(chunk) == CHUNK or entry.end.position - start >= CHUNK_BYTES:
            yield chunk
            chunk, start = [], entry.end.position
    if chunk:
        yield chunk


def store(
    job: FileImport, chunk: list[Entry], tell: Callable[[int, str], None], account: str = ""
) -> None:
    """Ingest a chunk, and note in the same transaction that the file is done up to its end.

    `tell(line, reason)` hears what is refused before that is committed: if we are killed between
    the two it is told again, never not at all. Raises AnotherRunError or `django.db.Error` when
    nothing of the chunk was stored.
    """
    readable = [entry for entry in chunk if not entry.error]
    end = chunk[-1].end
    with transaction.atomic():
        report = ingest([entry.item for entry in readable], source=job.source, account=account)
        refused = [(entry.line, f"line {entry.error}") for entry in chunk if entry.error]
        refused += [(readable[r.index].line, f"{r.field} {r.reason}") for r in report.rejected]
        for line, reason in sorted(refused):
            tell(line, reason)
        _move(
            job,
            position=end.position,
            line=end.line,
            received=job.received + len(chunk),
            stored=job.stored + report.stored,
            duplicates=job.duplicates + report.duplicates,
            refused=job.refused + len(refused),
        )
    reset_queries()  # with DEBUG Django keeps the text of every statement


def finish(job: FileImport) -> None:
    """Note that the whole file is done. Raises AnotherRunError or `django.db.Error`."""
    _move(job, finished_at=timezone.now())


def _move(job: FileImport, **values: Any) -> None:
    """Change the row and `job` alike, if the row still says what `job` does."""
    if not FileImport.objects.filter(pk=job.pk, position=job.position).update(**values):
        raise AnotherRunError("another run of this command is importing the same file")
    for field, value in values.items():
        setattr(job, field, value)
