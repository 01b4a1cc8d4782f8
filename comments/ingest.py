"""The one way in: every comment, wherever it comes from, is stored by `ingest`."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from django.db import DatabaseError, connection, transaction

from comments import metrics
from comments.parsing import ItemError, NewComment, parse_batch
from comments.signals import comments_stored

logger = logging.getLogger(__name__)

# One statement, so that two writers with the same comments cannot both think they are new: the
# unique constraint decides, and RETURNING tells who stored what.
INSERT = """
    INSERT INTO comments_comment (source, external_id, post_id, text, author, posted_at)
    SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
    ON CONFLICT (source, external_id) DO NOTHING
    RETURNING id
"""


@dataclass
class IngestReport:
    """What became of one batch. `received` = `stored` + `duplicates` + the number of errors."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    errors: list[ItemError] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.received} comments: {self.stored} stored, {self.duplicates} duplicates, "
            f"{len(self.errors)} refused"
        )

    def add(self, other: "IngestReport") -> None:
        """Add a later batch's numbers; its errors' indexes go on from where this one ended."""
        self.errors += [replace(e, index=e.index + self.received) for e in other.errors]
        self.received += other.received
        self.stored += other.stored
        self.duplicates += other.duplicates


def ingest(items: Sequence[Any], *, source: str, post_id: str | None = None) -> IngestReport:
    """Store what is new of a batch and say what became of each item.

    `items` are objects as `POST /comments/process` has them; with `post_id` None each carries its
    own. A bad item costs only itself. When this returns (outside a caller's transaction) what it
    counts as stored is committed. Raises `django.db.DatabaseError` when nothing was stored.
    """
    metrics.ATTEMPTS.inc(len(items))
    with metrics.DURATION.time():
        comments, errors = parse_batch(items, post_id)
        try:
            stored = _insert(comments, source) if comments else 0
        except DatabaseError:
            metrics.ERRORS.labels("database").inc()
            raise
    report = IngestReport(len(items), stored, len(comments) - stored, errors)
    metrics.SUCCESS.inc(len(comments))
    metrics.STORED.inc(report.stored)
    metrics.DUPLICATES.inc(report.duplicates)
    metrics.ERRORS.labels("validation").inc(len(errors))
    return report


def _insert(comments: list[NewComment], source: str) -> int:
    # Every writer locks the keys in the same order, so overlapping batches cannot deadlock. The
    # sort is stable and the first of two with one id is kept.
    comments = sorted(comments, key=lambda comment: comment.external_id)
    columns = [list(column) for column in zip(*comments, strict=True)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(INSERT, [source, *columns])
        new_ids = [row[0] for row in cursor.fetchall()]
        if new_ids:
            transaction.on_commit(partial(_announce, new_ids, source))
    return len(new_ids)


def _announce(new_ids: list[int], source: str) -> None:
    logger.info(
        "comments stored",
        extra={"source": source, "stored": len(new_ids), "first_id": min(new_ids)},
    )
    comments_stored.send(sender="comments.ingest", count=len(new_ids))
