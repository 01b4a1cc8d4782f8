"""Ingestion stores each comment once and says what became of it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection

from comments.ingest import IngestReport, ingest
from comments.models import Comment
from comments.parsing import ItemError
from comments.partitions import today
from comments.signals import comments_stored


def item(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"c{number:05}",
        "text": f"comment {number}",
        "author": "ada",
        "timestamp": "2024-01-25T10:30:00Z",
    } | changes


def store(items: list[Any]) -> IngestReport:
    return ingest(items, source="fake_platform", post_id="p1")


@pytest.mark.django_db
def test_a_new_comment_is_stored_with_all_its_fields():
    store([item(1, text="price? 😍", author_followers=12_300, author_verified=True)])
    comment = Comment.objects.get()
    assert comment.source == "fake_platform"
    assert comment.external_id == "c00001"
    assert comment.post_id == "p1"
    assert comment.text == "price? 😍"
    assert comment.author == "ada"
    assert (comment.author_followers, comment.author_verified) == (12_300, True)
    assert comment.posted_at == datetime(2024, 1, 25, 10, 30, tzinfo=UTC)
    assert comment.analyzed_at is None


@pytest.mark.django_db
def test_an_author_of_whom_nothing_is_told_is_no_influencer():
    store([item(1)])
    comment = Comment.objects.get()
    assert (comment.author_followers, comment.author_verified) == (None, False)
    assert not comment.is_influencer


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("facts", "is_influencer"),
    [
        ({"author_followers": 999}, False),
        ({"author_followers": 1_000}, True),
        ({"author_followers": 0, "author_verified": True}, True),
    ],
)
def test_an_influencer_is_verified_or_has_followers_enough(settings, facts, is_influencer):
    settings.INFLUENCER_FOLLOWERS = 1_000
    store([item(1, **facts)])
    assert Comment.objects.get().is_influencer is is_influencer


@pytest.mark.django_db
def test_a_known_comment_is_counted_and_not_stored_again():
    store([item(1), item(2)])
    report = store([item(2), item(3)])
    assert (report.received, report.stored, report.duplicates) == (2, 1, 1)
    assert Comment.objects.count() == 3


@pytest.mark.django_db
def test_of_one_id_twice_in_a_batch_the_first_is_stored():
    report = store([item(1, text="first"), item(1, text="second")])
    assert (report.stored, report.duplicates) == (1, 1)
    assert Comment.objects.get().text == "first"


@pytest.mark.django_db
def test_the_same_id_on_another_platform_is_another_comment():
    store([item(1)])
    report = ingest([item(1)], source="elsewhere", post_id="p1")
    assert report.stored == 1


@pytest.mark.django_db
def test_a_bad_item_costs_only_itself():
    report = store([item(1), item(2, text="a\x00b"), item(3, text="\ud800"), item(4)])
    assert (report.stored, [error.index for error in report.rejected]) == (2, [1, 2])


@pytest.mark.django_db
def test_ten_thousand_comments_in_one_call():
    report = store([item(n) for n in range(10_000)])
    assert report.stored == Comment.objects.count() == 10_000


@pytest.mark.django_db
def test_an_empty_batch_is_nothing():
    assert store([]) == IngestReport()


@pytest.mark.django_db
def test_new_comments_are_announced_once_after_the_commit(django_capture_on_commit_callbacks):
    heard = []

    def hear(count: int, **_: Any) -> None:
        heard.append(count)

    comments_stored.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            store([item(1), item(2), item(2)])
            store([item(1)])  # nothing new, nothing to announce
            assert heard == []
    finally:
        comments_stored.disconnect(hear)
    assert heard == [2]


@pytest.mark.django_db
def test_what_only_the_database_refuses_costs_only_itself():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE comments_comment ADD CONSTRAINT no_x CHECK (text <> 'x')")
    batch = [item(n, text="x" if n in {3, 7} else "fine") for n in range(10)]
    report = store([{"id": "bad"}, *batch, item(7)])
    assert (report.stored, report.duplicates) == (8, 0)
    assert [(error.index, error.field) for error in report.rejected] == [
        *((0, "text"), (4, "item"), (8, "item"), (11, "item"))
    ]
    assert 'violates check constraint "no_x"' in report.rejected[1].reason
    assert "fine" not in report.rejected[1].reason


@pytest.mark.django_db
def test_what_is_no_comments_fault_is_blamed_on_none():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE comments_seencomment ALTER comment_id DROP DEFAULT")
    with pytest.raises(DatabaseError, match="every comment is refused: null value in column"):
        store([item(1), item(2)])


@pytest.mark.django_db
def test_a_day_without_its_partition_gets_it_also_when_a_comment_is_refused():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE comments_comment ADD CONSTRAINT no_x CHECK (text <> 'x')")
        cursor.execute(f"DROP TABLE comments_comment_{today():%Y%m%d}")
    report = store([item(1), item(2, text="x")])
    assert (report.stored, len(report.rejected)) == (1, 1)
    assert Comment.objects.get().external_id == "c00001"


@pytest.mark.django_db
def test_a_database_that_fails_stores_nothing_and_says_so():
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE comments_seencomment")
    with pytest.raises(DatabaseError):
        store([item(1), item(2)])


def test_adding_reports_goes_on_counting_the_places():
    total = IngestReport()
    for _ in range(2):
        total.add(IngestReport(5, 3, 1, [ItemError(4, "c", "text", "bad")]))
    assert (total.received, total.stored, total.duplicates) == (10, 6, 2)
    assert [error.index for error in total.rejected] == [4, 9]
