"""Baseline B, the limit: COPY of a batch's rows into the product's own tables.

A bare connection, one transaction, the text made beforehand. It finds no duplicates.
"""

import io
from collections.abc import Sequence

import psycopg2

from tests.benchmarks.data import Batch

CHUNK = 1 << 16  # bytes


class Copy:
    """A connection that copies batches."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url)

    def prepare(self, batch: Batch, source: str) -> tuple[bytes, bytes]:
        """The text to copy, into the ledger and into the comments; ids are the database's."""
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT comments_new_id() FROM generate_series(1, %s)", [len(batch.comments)]
            )
            ids = [row[0] for row in cursor.fetchall()]
        pairs = list(zip(ids, batch.comments, strict=True))
        ledger = [(c["id"], source, id_) for id_, c in pairs]
        comments = [
            (id_, source, c["id"], batch.post_id, c["text"], c["author"], c["timestamp"])
            for id_, c in pairs
        ]
        return _lines(ledger), _lines(comments)

    def store(self, text: tuple[bytes, bytes]) -> None:
        """COPY, twice, and commit."""
        ledger, comments = text
        with self._connection, self._connection.cursor() as cursor:
            cursor.copy_expert(
                "COPY comments_seencomment (external_id, source, comment_id) FROM STDIN",
                io.BytesIO(ledger),
                CHUNK,
            )
            cursor.copy_expert(
                "COPY comments_comment (id, source, external_id, post_id, text, author, posted_at)"
                " FROM STDIN",
                io.BytesIO(comments),
                CHUNK,
            )

    def close(self) -> None:
        self._connection.close()


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    """COPY's text format; the texts of `data` have nothing in them that it would escape."""
    return "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()
