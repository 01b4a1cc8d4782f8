"""Redis spares the database what it would answer anyway, and nothing depends on it."""

from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection
from prometheus_client import REGISTRY

from comments import recent
from comments.ingest import IngestReport, ingest
from comments.models import Comment

SOURCE = "fake_platform"


def items(*numbers: int) -> list[dict[str, Any]]:
    return [
        {"id": f"c{n}", "text": "price?", "author": "ada", "timestamp": "2024-01-25T10:30:00Z"}
        for n in numbers
    ]


def store(*numbers: int) -> IngestReport:
    return ingest(items(*numbers), source=SOURCE, post_id="p1")


@pytest.mark.django_db(transaction=True)
def test_a_batch_of_known_comments_asks_the_database_nothing():
    store(1, 2)
    with CaptureQueriesContext(connection) as queries:
        report = store(2, 1, 2)
    assert (report.stored, report.duplicates) == (0, 3)
    assert len(queries) == 0


@pytest.mark.django_db(transaction=True)
def test_only_the_unknown_ones_of_a_batch_go_to_the_database():
    store(1, 2)
    assert store(1, 2, 3).stored == 1
    assert Comment.objects.count() == 3


@pytest.mark.django_db
def test_a_large_batch_is_looked_up_only_if_a_good_part_of_it_is_known():
    ids = [f"c{n}" for n in range(1_000)]
    recent.remember(SOURCE, ids[:100])
    assert recent.known(SOURCE, ids) == set()
    recent.remember(SOURCE, ids[:500])
    assert recent.known(SOURCE, ids) == set(ids[:500])


@pytest.mark.django_db(transaction=True)
def test_what_the_database_knew_is_remembered_too():
    store(1)
    get_redis_connection("default").flushdb()
    assert store(1).duplicates == 1
    assert recent.known(SOURCE, ["c1"]) == {"c1"}


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_remembered():
    with transaction.atomic():
        store(1)
        transaction.set_rollback(True)
    assert store(1).stored == 1


@pytest.mark.django_db(transaction=True)
def test_a_refused_comment_is_not_remembered():
    bad = items(1)[0] | {"text": ""}
    ingest([bad], source=SOURCE, post_id="p1")
    assert store(1).stored == 1


@pytest.mark.django_db
def test_the_same_id_on_another_platform_is_unknown():
    recent.remember(SOURCE, ["c1"])
    assert recent.known("elsewhere", ["c1"]) == set()


@pytest.mark.django_db
def test_ids_are_remembered_for_the_ttl_at_least_and_twice_it_at_most(settings, monkeypatch):
    settings.DEDUP_CACHE_TTL = 100
    now = 1_000_050.0
    monkeypatch.setattr("comments.recent.time.time", lambda: now)
    recent.remember(SOURCE, ["c1"])
    now += 100
    assert recent.known(SOURCE, ["c1"]) == {"c1"}
    now += 100
    assert recent.known(SOURCE, ["c1"]) == set()
    [key] = get_redis_connection("default").keys("seen:*")
    assert get_redis_connection("default").ttl(key) <= 200


@pytest.mark.django_db
def test_redis_is_asked_about_this_database_only(monkeypatch):
    recent.remember(SOURCE, ["c1"])
    monkeypatch.setattr(recent._asked, "name", "another")
    assert recent.known(SOURCE, ["c1"]) == set()


@pytest.mark.django_db(transaction=True)
def test_without_redis_ingestion_is_as_exact_and_says_so(no_redis, caplog):
    def skipped() -> float:
        name, labels = "redis_skipped_total", {"purpose": "deduplication"}
        return REGISTRY.get_sample_value(name, labels) or 0

    before = skipped()
    assert store(1, 2).stored == 2
    assert (store(2, 3).stored, store(2, 3).duplicates) == (1, 2)
    assert Comment.objects.count() == 3
    assert skipped() >= before + 3
    # said once, not with every call: it is left alone for a while
    assert caplog.text.count("Redis does not answer") == 1
