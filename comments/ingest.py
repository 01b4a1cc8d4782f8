"""The one way in: every comment, wherever it comes from, is stored by `ingest`."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import msgspec
from django.db import DatabaseError, DataError, IntegrityError, connection, transaction
from psycopg2.errors import CheckViolation

from comments import metrics, recent
from comments.parsing import ItemError, NewComment, parse_batch
from comments.partitions import ensure_partitions
from comments.signals import comments_stored

logger = logging.getLogger(__name__)

# One statement, so that two writers with the same comments cannot both think they are new: the
# ledger's key decides, and what it lets in is what is stored. In the order of the keys, so that
# writers with overlapping batches wait for each other and never in a circle. The batch is one
# JSON text: PostgreSQL reads that in a third of the time that five arrays take.
INSERT = """
    WITH batch AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%(batch)s) AS item (
            external_id text, post_id text, text text, author text, posted_at timestamptz,
            author_followers integer, author_verified boolean
        )
        ORDER BY external_id COLLATE "C"
    ), new AS (
        INSERT INTO comments_seencomment (external_id, source)
        SELECT external_id, %(source)s FROM batch
        ON CONFLICT DO NOTHING
        RETURNING external_id, comment_id
    )
    INSERT INTO comments_comment (
        id, source, account, external_id, post_id, text, author, posted_at,
        author_followers, author_verified
    )
    SELECT new.comment_id, %(source)s, %(account)s, batch.* FROM batch JOIN new USING (external_id)
"""


class Origin(NamedTuple):
    """Where a batch comes from: a source, and the account there whose posts are commented on."""

    source: str
    account: str


@dataclass
class IngestReport:
    """What became of one batch. `received` = `stored` + `duplicates` + the number of `rejected`."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: list[ItemError] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.received} comments: {self.stored} stored, {self.duplicates} duplicates, "
            f"{len(self.rejected)} refused"
        )

    def add(self, other: "IngestReport") -> None:
        """Add a later batch's numbers; its rejects' indexes go on from where this one ended."""
        self.rejected += [replace(r, index=r.index + self.received) for r in other.rejected]
        self.received += other.received
        self.stored += other.stored
        self.duplicates += other.duplicates


def ingest(
    items: Sequence[Any], *, source: str, post_id: str | None = None, account: str = ""
) -> IngestReport:
    """Store what is new of a batch and say what became of each item.

    `items` are objects as `POST /comments/process` has them; with `post_id` None each carries its
    own. `account` is the brand's whose posts they are, empty for the source's only one. A bad item
    costs only itself. When this returns (outside a caller's transaction) what it
    counts as stored is committed. Raises `django.db.DatabaseError` when nothing was stored.
    """
    metrics.ATTEMPTS.inc(len(items))
    with metrics.DURATION.time():
        with metrics.STAGES.labels("decode").time():
            comments, rejected = parse_batch(items, post_id)
        unique: dict[str, NewComment] = {}
        for comment in comments:
            unique.setdefault(comment.external_id, comment)  # the first of two is kept
        try:
            with metrics.STAGES.labels("dedupe").time():
                known = recent.known(source, list(unique))
            unknown = [comment for comment in unique.values() if comment.external_id not in known]
            stored, refused = _store(unknown, Origin(source, account))
        except DatabaseError:
            metrics.ERRORS.labels("database").inc()
            raise
    if refused:
        rejected += _locate(refused, items, rejected)
        rejected.sort(key=lambda error: error.index)
    duplicates = len(items) - len(rejected) - stored
    # A caller may still have to commit, and may come again with the same items if it cannot.
    transaction.on_commit(partial(_count, stored, duplicates), robust=True)
    metrics.ERRORS.labels("validation").inc(len(rejected))
    return IngestReport(len(items), stored, duplicates, rejected)


def _store(comments: list[NewComment], origin: Origin) -> tuple[int, dict[str, str]]:
    """Store what is new; returns how many that was, and what the database refused, id -> reason."""
    refused: dict[str, str] = {}
    if not comments:
        return 0, refused
    begun = time.perf_counter()
    with transaction.atomic():
        stored = _insert(comments, origin, refused)
        if len(refused) == len(comments) > 1:  # then it is not the comments
            raise DatabaseError(f"every comment is refused: {next(iter(refused.values()))}")
        ids = [c.external_id for c in comments if c.external_id not in refused]
        transaction.on_commit(partial(_announce, stored, ids, origin.source, begun), robust=True)
    return stored, refused


def _insert(comments: list[NewComment], origin: Origin, refused: dict[str, str]) -> int:
    """Insert a batch; when the database refuses it, by halves, down to the comments at fault."""
    try:
        return _execute(comments, origin)
    except (DataError, IntegrityError) as error:
        if len(comments) == 1:
            refused[comments[0].external_id] = str(error).partition("\n")[0]
            return 0
    # In the order of the keys, as within a statement.
    comments = sorted(comments, key=lambda comment: comment.external_id)
    middle = len(comments) // 2
    first = _insert(comments[:middle], origin, refused)
    return first + _insert(comments[middle:], origin, refused)


def _execute(comments: list[NewComment], origin: Origin) -> int:
    try:
        return _run(comments, origin)
    except IntegrityError as error:
        if not _partition_is_missing(error):
            raise
    ensure_partitions(days_ahead=1)  # midnight may come meanwhile
    return _run(comments, origin)


def _run(comments: list[NewComment], origin: Origin) -> int:
    batch = msgspec.json.encode(comments).decode()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(INSERT, {"batch": batch} | origin._asdict())
        return int(cursor.rowcount)


def _partition_is_missing(error: DatabaseError) -> bool:
    """PostgreSQL says "no partition of relation found for row" as a check without a name."""
    cause = error.__cause__
    return isinstance(cause, CheckViolation) and cause.diag.constraint_name is None


def _locate(
    refused: dict[str, str], items: Sequence[Any], rejected: list[ItemError]
) -> list[ItemError]:
    """The items whose ids the database refused, without those that are rejected already."""
    done = {error.index for error in rejected}
    return [
        ItemError(index, item["id"], "item", f"the database refused it: {refused[item['id']]}")
        for index, item in enumerate(items)
        if index not in done and item["id"] in refused
    ]


def _count(stored: int, duplicates: int) -> None:
    metrics.SUCCESS.inc(stored + duplicates)
    metrics.STORED.inc(stored)
    metrics.DUPLICATES.inc(duplicates)


def _announce(stored: int, ids: list[str], source: str, begun: float) -> None:
    """After the commit: remember the ids, and tell that there is something to analyse."""
    metrics.STAGES.labels("store").observe(time.perf_counter() - begun)
    with metrics.STAGES.labels("queue").time():
        recent.remember(source, ids)
        if stored:
            logger.info("comments stored", extra={"source": source, "stored": stored})
            comments_stored.send(sender="comments.ingest", count=stored)
