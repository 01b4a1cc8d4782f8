"""The fake platform's state, in SQLite: comments, and the ledger of answers to their authors."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypedDict

REPLY_WINDOW = timedelta(days=7)
HOUR = timedelta(hours=1)

# A comment's sequence number is also its place in the paging: comments come in order of arrival,
# whatever their timestamp says, so that a cursor never passes one by that arrives later.
# AUTOINCREMENT keeps a number from being given out twice, even after a deletion.
_TABLES = (
    """CREATE TABLE IF NOT EXISTS comments (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        post_id TEXT NOT NULL,
        text TEXT NOT NULL,
        author TEXT NOT NULL,
        timestamp TEXT NOT NULL,
        author_followers INTEGER,
        author_verified INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE IF NOT EXISTS messages (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        comment_id TEXT NOT NULL REFERENCES comments (id),
        channel TEXT NOT NULL DEFAULT 'direct_message',
        account TEXT NOT NULL DEFAULT '',
        text TEXT NOT NULL,
        received_at TEXT NOT NULL,
        UNIQUE (comment_id, channel)
    )""",
)
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS comments_by_post ON comments (post_id, seq)",
    "CREATE INDEX IF NOT EXISTS messages_by_hour ON messages (account, received_at)",
)

# What a file of an earlier version lacks.
_AUTHOR_FACTS = (
    "ALTER TABLE comments ADD COLUMN author_followers INTEGER",
    "ALTER TABLE comments ADD COLUMN author_verified INTEGER NOT NULL DEFAULT 0",
)
_CHANNELS = (
    "ALTER TABLE messages RENAME TO messages_before",
    _TABLES[1],
    "INSERT INTO messages (seq, comment_id, text, received_at)"
    " SELECT seq, comment_id, text, received_at FROM messages_before",
    "DROP TABLE messages_before",
)

# Every query on the ledger starts with this; the columns are the keys of Message.
_LEDGER = """
SELECT 'fake_message_' || messages.seq AS message_id, messages.comment_id, messages.channel,
       messages.account, comments.post_id, comments.author, comments.text AS comment_text,
       messages.text, messages.received_at
FROM messages JOIN comments ON comments.id = messages.comment_id
"""


class Comment(TypedDict):
    """A comment; ``timestamp`` is ISO 8601 in UTC with ``Z``, unknown followers are None."""

    id: str
    post_id: str
    text: str
    author: str
    timestamp: str
    author_followers: int | None
    author_verified: bool


class Message(TypedDict):
    """A delivered answer to a comment; ``received_at`` is ISO 8601 in UTC with ``Z``."""

    message_id: str
    comment_id: str
    channel: str
    account: str
    post_id: str
    author: str
    comment_text: str
    text: str
    received_at: str


class PostCount(TypedDict):
    """A post and how many comments it has."""

    post_id: str
    comments: int


class CommentPage(NamedTuple):
    """Some of a post's comments in order of arrival, and where to go on."""

    comments: list[Comment]
    last: int | None  # the sequence number of the last comment; None when there is none
    more: bool


class CommentExistsError(Exception):
    """There is already a comment with this id."""


class UnknownCommentError(Exception):
    """No comment has this id."""


class ReplyUsedError(Exception):
    """The comment's one reply over this channel was already sent."""


class OverLimitError(Exception):
    """The account has sent as much within the last hour as it may."""


class WindowClosedError(Exception):
    """The comment is too old for a reply."""


class Usage(NamedTuple):
    """What an account has sent within the last hour, and when the first of it was."""

    sent: int
    oldest: datetime | None


def iso_utc(moment: datetime) -> str:
    """An aware time as ISO 8601 in UTC with ``Z``: ``2026-03-01T08:30:00Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Store:
    """Comments and messages in one SQLite file, or in memory with ``":memory:"``.

    All methods may be called from any thread. A file keeps everything across restarts, ids
    included: a later run goes on counting where the last one stopped.
    """

    def __init__(self, path: str | Path) -> None:
        """Opens or makes the file. Raises sqlite3.Error when that is impossible."""
        # One connection for all threads, because each connection to ":memory:" is its own
        # database; the lock makes them take turns. Transactions are begun by hand, see _write.
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        # With a write-ahead log, NORMAL still survives the death of the process, and saves a
        # disk flush for each comment.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        with self._write() as db:
            for statement in _TABLES:
                db.execute(statement)
            for change in () if _has(db, "comments", "author_followers") else _AUTHOR_FACTS:
                db.execute(change)
            for change in () if _has(db, "messages", "channel") else _CHANNELS:
                db.execute(change)
            for statement in _INDEXES:
                db.execute(statement)

    def close(self) -> None:
        """Closes the file. The store cannot be used any more."""
        with self._lock:
            self._db.close()

    def add_comment(
        self,
        post_id: str,
        text: str,
        author: str,
        *,
        comment_id: str | None = None,
        timestamp: datetime | None = None,
        author_followers: int | None = None,
        author_verified: bool = False,
    ) -> Comment:
        """Adds a comment, by default with the next ``fake_<sequence>`` id and the current time.

        Raises CommentExistsError when ``comment_id`` is taken.
        """
        with self._write() as db:
            seq = _next_sequence(db)
            comment = Comment(
                id=f"fake_{seq}" if comment_id is None else comment_id,
                post_id=post_id,
                text=text,
                author=author,
                timestamp=iso_utc(timestamp or datetime.now(UTC)),
                author_followers=author_followers,
                author_verified=author_verified,
            )
            try:
                db.execute(
                    "INSERT INTO comments (seq, id, post_id, text, author, timestamp,"
                    " author_followers, author_verified)"
                    " VALUES (:seq, :id, :post_id, :text, :author, :timestamp,"
                    " :author_followers, :author_verified)",
                    {"seq": seq, **comment},
                )
            except sqlite3.IntegrityError as error:
                raise CommentExistsError(comment["id"]) from error
        return comment

    def comments(self, post_id: str, after: int, limit: int) -> CommentPage:
        """At most ``limit`` comments of a post that came after sequence number ``after``."""
        rows = self._read(
            "SELECT * FROM comments WHERE post_id = ? AND seq > ? ORDER BY seq LIMIT ?",
            (post_id, after, limit + 1),
        )
        shown = rows[:limit]
        comments = [
            Comment(
                id=row["id"],
                post_id=row["post_id"],
                text=row["text"],
                author=row["author"],
                timestamp=row["timestamp"],
                author_followers=row["author_followers"],
                author_verified=bool(row["author_verified"]),
            )
            for row in shown
        ]
        return CommentPage(comments, shown[-1]["seq"] if shown else None, len(rows) > limit)

    def posts(self) -> list[PostCount]:
        """The posts that have comments, in the order of their first one."""
        rows = self._read(
            "SELECT post_id, count(*) AS comments FROM comments GROUP BY post_id ORDER BY min(seq)"
        )
        return [PostCount(post_id=row["post_id"], comments=row["comments"]) for row in rows]

    def deliver(
        self,
        comment_id: str,
        text: str,
        *,
        channel: str = "direct_message",
        account: str = "",
        hourly_limit: int = 0,
    ) -> Message:
        """Puts a reply to a comment into the ledger: at most one per comment and channel, ever.

        Raises OverLimitError when the account has sent ``hourly_limit`` (0: no limit) within the
        last hour, UnknownCommentError, ReplyUsedError, or WindowClosedError when the comment is
        more than 7 days old. A used reply stays the answer after the window has closed.
        """
        now = datetime.now(UTC)
        with self._write() as db:
            if hourly_limit and _usage(db, account, now).sent >= hourly_limit:
                raise OverLimitError(account)
            found = db.execute("SELECT timestamp FROM comments WHERE id = ?", (comment_id,))
            comment = found.fetchone()
            if comment is None:
                raise UnknownCommentError(comment_id)
            try:
                row = db.execute(
                    "INSERT INTO messages (comment_id, channel, account, text, received_at)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (comment_id, channel, account, text, _exact(now)),
                )
            except sqlite3.IntegrityError as error:
                raise ReplyUsedError(comment_id) from error
            # Raising takes the row back.
            if now - datetime.fromisoformat(comment["timestamp"]) > REPLY_WINDOW:
                raise WindowClosedError(comment_id)
            told = db.execute(f"{_LEDGER} WHERE messages.seq = ?", (row.lastrowid,)).fetchone()
        return _message(told)

    def usage(self, account: str) -> Usage:
        """What the account has sent within the hour before now."""
        with self._lock:
            return _usage(self._db, account, datetime.now(UTC))

    def author_of(self, comment_id: str) -> str:
        """Who wrote a comment. Raises UnknownCommentError."""
        rows = self._read("SELECT author FROM comments WHERE id = ?", (comment_id,))
        if not rows:
            raise UnknownCommentError(comment_id)
        author: str = rows[0]["author"]
        return author

    def messages(self, comment_id: str | None = None) -> list[Message]:
        """The ledger, newest last: of one comment, or of all."""
        if comment_id is None:
            rows = self._read(f"{_LEDGER} ORDER BY messages.seq")
        else:
            query = f"{_LEDGER} WHERE messages.comment_id = ? ORDER BY messages.seq"
            rows = self._read(query, (comment_id,))
        return [_message(row) for row in rows]

    def newest_messages(self, limit: int) -> list[Message]:
        """The last ``limit`` answers of the ledger, newest first."""
        rows = self._read(f"{_LEDGER} ORDER BY messages.seq DESC LIMIT ?", (limit,))
        return [_message(row) for row in rows]

    def _read(self, query: str, parameters: tuple[str | int, ...] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, parameters).fetchall()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that has the file for itself from the start; an exception undoes it."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            # The connection's own context manager commits, or rolls back on an exception.
            with self._db:
                yield self._db


def _next_sequence(db: sqlite3.Connection) -> int:
    """The first number never used whose ``fake_<number>`` nobody took by giving it as an id."""
    counter = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'comments'").fetchone()
    seq: int = (counter["seq"] if counter else 0) + 1
    while db.execute("SELECT 1 FROM comments WHERE id = ?", (f"fake_{seq}",)).fetchone():
        seq += 1
    return seq


def _has(db: sqlite3.Connection, table: str, column: str) -> bool:
    return any(row["name"] == column for row in db.execute(f"PRAGMA table_info({table})"))


def _usage(db: sqlite3.Connection, account: str, now: datetime) -> Usage:
    row = db.execute(
        "SELECT count(*) AS sent, min(received_at) AS oldest FROM messages"
        " WHERE account = ? AND received_at > ?",
        (account, _exact(now - HOUR)),
    ).fetchone()
    return Usage(row["sent"], row["oldest"] and datetime.fromisoformat(row["oldest"]))


def _exact(moment: datetime) -> str:
    """Like ``iso_utc``, but always with microseconds, so that texts compare as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _message(row: sqlite3.Row) -> Message:
    return Message(
        message_id=row["message_id"],
        comment_id=row["comment_id"],
        channel=row["channel"],
        account=row["account"],
        post_id=row["post_id"],
        author=row["author"],
        comment_text=row["comment_text"],
        text=row["text"],
        received_at=row["received_at"],
    )
