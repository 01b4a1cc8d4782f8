"""A day's comments are a partition, made ahead and dropped when they are old."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection

from comments.ingest import ingest
from comments.models import Comment, SeenComment
from comments.partitions import (
    IDS_PER_DAY,
    ensure_partitions,
    first_id,
    id_at,
    partitions,
    retire,
    today,
)
from dmtrigger.models import DirectMessage
from intents.models import IntentResult, Review
from tests.factories import DirectMessageFactory, ReviewFactory

pytestmark = pytest.mark.django_db
TABLES = ("comments_comment", "intents_intentresult")


def make_day(day: date) -> None:
    """The partitions of a day of the past, as they would be there had it been lived through."""
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(
                f"CREATE TABLE {table}_{day:%Y%m%d} PARTITION OF {table}"
                f" FOR VALUES FROM ({first_id(day)}) TO ({first_id(day) + IDS_PER_DAY})"
            )


def names(table: str) -> set[str]:
    return {name for name, _upper in partitions(table)}


def test_a_comments_id_says_on_which_day_it_was_stored():
    item = {"id": "c1", "text": "price?", "author": "ada", "timestamp": "2024-01-25T10:30:00Z"}
    ingest([item], source="fake_platform", post_id="p1")
    comment = Comment.objects.get()
    second = timedelta(seconds=1)
    assert id_at(comment.created_at) <= comment.pk < id_at(comment.created_at + 2 * second)
    assert SeenComment.objects.get().comment_id == comment.pk


def test_ids_grow_with_time_and_stay_exact_for_every_reader_of_json():
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert first_id(noon.date()) < id_at(noon) < id_at(noon + timedelta(seconds=1))
    assert id_at(noon) == id_at(noon + timedelta(milliseconds=999))
    assert id_at(noon.replace(hour=0)) == first_id(noon.date())
    assert first_id(date(2300, 1, 1)) < 2**53


def test_there_are_partitions_for_today_and_the_days_to_come():
    for table in TABLES:
        wanted = {f"{table}_{today() + timedelta(days=n):%Y%m%d}" for n in range(8)}
        assert wanted <= names(table)
    assert ensure_partitions() == []


def test_a_missing_partition_is_made_with_all_its_indexes():
    name = f"comments_comment_{today() + timedelta(days=3):%Y%m%d}"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {name}")
        assert ensure_partitions() == [name]
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = %s", [name])
        assert cursor.fetchone() == (5,)


def test_days_that_are_older_than_is_kept_are_dropped_and_no_others():
    old, kept = today() - timedelta(days=31), today() - timedelta(days=30)
    make_day(old)
    make_day(kept)
    dropped = retire(keep_days=30)
    assert {f"{table}_{old:%Y%m%d}" for table in TABLES} <= set(dropped)
    for table in TABLES:
        assert f"{table}_{kept:%Y%m%d}" in names(table)
        assert f"{table}_{today():%Y%m%d}" in names(table)


def old_review() -> Review:
    day = today() - timedelta(days=40)
    make_day(day)
    return ReviewFactory(intent__comment__id=first_id(day) + 1)


def test_what_belongs_to_a_retired_comment_goes_with_it():
    review = old_review()
    recent = ReviewFactory()
    retire(keep_days=30)
    assert Comment.objects.get() == recent.intent.comment
    assert IntentResult.objects.get() == recent.intent
    assert Review.objects.get() == recent
    assert review.pk != recent.pk


def test_a_message_outlives_its_comment_and_says_why_it_was_sent():
    DirectMessageFactory(review=old_review())
    retire(keep_days=30)
    message = DirectMessage.objects.get()
    assert message.review is None
    assert message.reason == "purchase_intent 85 (test), approved by olga"


def test_a_retired_comment_that_comes_again_is_still_known(settings):
    day = today() - timedelta(days=40)
    make_day(day)
    SeenComment.objects.create(external_id="c1", source="fake_platform", comment_id=first_id(day))
    retire(keep_days=30)
    item = {"id": "c1", "text": "price?", "author": "ada", "timestamp": "2024-01-25T10:30:00Z"}
    report = ingest([item], source="fake_platform", post_id="p1")
    assert (report.stored, report.duplicates) == (0, 1)
    assert not Comment.objects.exists()


def test_nothing_old_is_nothing_to_do():
    assert retire(keep_days=30) == []
