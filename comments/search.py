"""Comments by the words in them: PostgreSQL's full text search, in a query of its "websearch" kind.

The index of the words would halve the speed at which comments come in, so only the days that are
over have one (`index_past_days`): nothing is stored into them any more, since a comment's id says
when it was stored. Today's comments are read, which a plain comparison of texts makes fast enough.
Languages are mixed, so words are compared as they are (`simple`): no stems, no stop words.
"""

import logging
import re

from django.db import connection
from django.db.models import BooleanField, F, Func, QuerySet, Value

from comments.models import Comment
from comments.partitions import ADVISORY_LOCK, first_id, partitions, today

logger = logging.getLogger(__name__)

TABLE = "comments_comment"
WORDS = "to_tsvector('simple', text)"
OPERATORS = re.compile(r'\bor\b|"|(?<!\w)-', re.IGNORECASE)
SPECIAL = re.compile(r"[\\%_]")  # in a pattern of LIKE


class Matches(Func):
    """Whether a text has the words of a query."""

    template = "to_tsvector('simple', %(expressions)s)"
    arg_joiner = ") @@ websearch_to_tsquery('simple', "
    output_field = BooleanField()


class HasPart(Func):
    """Whether a pattern is in a text, in whatever case."""

    template = "%(expressions)s"
    arg_joiner = " ILIKE "
    output_field = BooleanField()


def search(comments: QuerySet[Comment], query: str) -> QuerySet[Comment]:
    """The comments with these words; `"a phrase"`, `this or that` and `-not` are understood."""
    for word in needed(query):
        pattern = SPECIAL.sub(r"\\\g<0>", word)
        comments = comments.filter(HasPart(F("text"), Value(f"%{pattern}%")))
    return comments.filter(Matches(F("text"), Value(query)))


def needed(query: str) -> list[str]:
    """What stands in each text that the query finds: all its words, unless it has operators.

    To look for them first costs a twentieth of what it costs to take every text apart.
    """
    if OPERATORS.search(query):
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT lexeme FROM unnest(to_tsvector('simple', %s))", [query])
        return [lexeme for (lexeme,) in cursor.fetchall()]


def index_past_days() -> list[str]:
    """Make the indexes that days which are over lack; outside of a transaction.

    An index whose making was broken off is there, but invalid: it is dropped and made again.
    Returns the names of the new ones.
    """
    made = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK + 1])
        if cursor.fetchone() != (True,):
            return []  # another process is at it
        try:
            over = [name for name, upper in partitions(TABLE) if upper <= first_id(today())]
            cursor.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE indisvalid")
            valid = {name for (name,) in cursor.fetchall()}
            for name in over:
                index = f"{name}_words"
                if index in valid:
                    continue
                cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
                cursor.execute(f"CREATE INDEX CONCURRENTLY {index} ON {name} USING gin ({WORDS})")
                cursor.execute(f"ANALYZE {name}")  # how frequent the words are
                made.append(index)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK + 1])
    for index in made:
        logger.info("words indexed", extra={"index": index})
    return made
