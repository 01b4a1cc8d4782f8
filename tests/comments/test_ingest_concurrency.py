"""However many write at once, and whatever Redis remembers, each comment is stored just once."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import DatabaseError, connection
from django_redis import get_redis_connection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from comments import partitions, recent
from comments.ingest import IngestReport, ingest
from comments.models import Comment, SeenComment
from comments.redis import ask
from intents.models import IntentResult, Review
from tests.factories import ReviewFactory

SOURCE = "fake_platform"
TABLES = ("comments_comment", "intents_intentresult", "intents_shadowprediction")


def store(numbers: list[int]) -> IngestReport:
    items = [
        {"id": f"c{n}", "text": "price?", "author": "ada", "timestamp": "2024-01-25T10:30:00Z"}
        for n in numbers
    ]
    return ingest(items, source=SOURCE, post_id="p1")


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """What the jobs return, each run in a thread with a connection of its own."""
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        try:
            start.wait()
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(run, job) for job in jobs]]


def stored_ids() -> list[str]:
    """The ids of all comments, which must be those of the ledger."""
    comments = sorted(Comment.objects.values_list("external_id", "pk"))
    assert comments == sorted(SeenComment.objects.values_list("external_id", "comment_id"))
    return [external_id for external_id, _pk in comments]


# Any number of writers --------------------------------------------------------------------------

FORGET = "Redis loses what it had"
IDS = 1_009  # a prime: each step below goes through all of them, in an order of its own


def batch(first: int, length: int, step: int) -> list[int]:
    """With duplicates when it is longer than there are ids."""
    return [(first + n * step) % IDS for n in range(length)]


ids = st.integers(0, IDS - 1)
batches = st.builds(batch, ids, st.integers(0, IDS + 100), st.integers(1, IDS - 1))
works = st.lists(batches | st.just(FORGET), min_size=1, max_size=3)


@contextmanager
def redis_away_for(threads: set[int]) -> Iterator[None]:
    """In these threads Redis does not answer."""

    def ask_or_not(*args: Any) -> Any:
        return None if threading.get_ident() in threads else ask(*args)

    with mock.patch("comments.recent.ask", ask_or_not):
        yield


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink a race is to lose it
    # the database and Redis are emptied below, before each example
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    before=batches,
    forgotten=st.sets(ids),
    writers=st.lists(st.tuples(works, st.booleans()), min_size=2, max_size=6),
)
def test_each_comment_is_stored_once_and_counted_as_stored_once(before, forgotten, writers):
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE comments_comment, comments_seencomment")
    redis = get_redis_connection("default")
    redis.flushdb()
    reports = [store(before)]
    for key in redis.keys("seen:*") if forgotten else ():
        redis.srem(key, *(f"c{n}" for n in forgotten))
    without_redis: set[int] = set()

    def write(work: list[Any], has_redis: bool) -> list[IngestReport]:
        if not has_redis:
            without_redis.add(threading.get_ident())
        done = []
        for step in work:
            if step == FORGET:
                redis.flushdb()
            else:
                done.append(store(step))
        return done

    with redis_away_for(without_redis):
        for done in at_once(*(lambda w=writer: write(*w) for writer in writers)):
            reports += done

    given_in = [before, *(step for work, _ in writers for step in work if step != FORGET)]
    distinct = {f"c{number}" for numbers in given_in for number in numbers}
    assert stored_ids() == sorted(distinct)
    assert sum(report.stored for report in reports) == len(distinct)
    assert sum(report.received for report in reports) == sum(map(len, given_in))
    assert all(report.received == report.stored + report.duplicates for report in reports)


# What else may happen meanwhile -----------------------------------------------------------------


def killed_before_its_commit(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    """Once the ledger and the comments are written, the connection is ended by another one."""
    result = execute(sql, params, many, context)
    if "INSERT INTO comments_seencomment" in sql:
        pid = context["connection"].connection.info.backend_pid
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            assert cursor.fetchone() == (True,)
        other.close()
    return result


@pytest.mark.django_db(transaction=True)
def test_a_writer_killed_before_its_commit_leaves_nothing_behind():
    store([1])
    with connection.execute_wrapper(killed_before_its_commit), pytest.raises(DatabaseError):
        store([1, 2, 3])
    assert stored_ids() == ["c1"]
    assert recent.known(SOURCE, ["c1", "c2", "c3"]) == {"c1"}
    assert store([1, 2, 3]).stored == 2
    assert stored_ids() == ["c1", "c2", "c3"]


@pytest.mark.django_db(transaction=True)
def test_partitions_are_made_and_dropped_while_comments_come_in():
    today = partitions.today()
    with mock.patch.object(partitions, "today", return_value=today - timedelta(days=3)):
        partitions.ensure_partitions(days_ahead=2)
    old = [partitions.first_id(today - timedelta(days=n)) for n in (1, 2, 3)]
    for pk in old:
        ReviewFactory(intent__comment__pk=pk)
    with connection.cursor() as cursor:
        for table in TABLES:
            for name, upper in partitions.partitions(table):
                if upper > partitions.first_id(today + timedelta(days=1)):
                    cursor.execute(f"DROP TABLE {name}")

    def write(numbers: range) -> int:
        return sum(store(list(numbers)[n : n + 30]).stored for n in range(0, len(numbers), 10))

    writers = [lambda n=n: write(range(n, n + 300)) for n in (0, 100, 200)]
    *stored, made, dropped = at_once(
        *writers, partitions.ensure_partitions, lambda: partitions.retire(keep_days=0)
    )
    assert sum(stored) == 500
    assert (len(made), len(dropped)) == (len(TABLES) * 7, len(TABLES) * 3)
    assert Comment.objects.count() == 500
    assert SeenComment.objects.count() == 500
    assert not Review.objects.exists()
    assert not IntentResult.objects.exists()
