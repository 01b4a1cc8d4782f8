"""`/metrics`: who may read it, and that it says what is there."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from celery import current_app
from django.db import OperationalError, connection
from django.utils import timezone
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from comments.ingest import ingest
from comments.models import Comment
from dmtrigger.models import Account, DeliveryAttempt, WebhookEndpoint
from tests.factories import CommentFactory, DirectMessageFactory, ReviewFactory, UserFactory
from tests.metric_names import declared
from threadsagent.metrics import rows

pytestmark = pytest.mark.django_db
NOW = timezone.now()
ITEM = {"id": "c1", "text": "price?", "author": "ada", "timestamp": "2024-01-25T10:30:00Z"}


@pytest.fixture
def scrape(client, settings):
    settings.METRICS_TOKEN = "scraper"

    def read() -> dict[str, float]:
        """Every sample; those with labels as `name{value,…}`."""
        rows.forget()
        answer = client.get("/metrics", headers={"Authorization": "Bearer scraper"})
        assert answer.status_code == 200
        samples = {}
        for family in text_string_to_metric_families(answer.content.decode()):
            for sample in family.samples:
                labels = f"{{{','.join(sample.labels.values())}}}" if sample.labels else ""
                samples[sample.name + labels] = sample.value
        return samples

    return read


def test_an_ingest_moves_the_specs_counters(scrape, django_capture_on_commit_callbacks):
    before = scrape()
    with django_capture_on_commit_callbacks(execute=True):
        ingest([ITEM, ITEM, ITEM | {"text": ""}], source="fake_platform", post_id="p1")
    after = scrape()
    moved = {
        "comment_processing_attempts_total": 3,
        "comment_processing_success_total": 2,
        "comments_stored_total": 1,
        "comment_duplicates_detected_total": 1,
        "comment_processing_errors_total{validation}": 1,
        "comment_processing_duration_seconds_count": 1,
    }
    for name, change in moved.items():
        assert after[name] - before.get(name, 0) == change, name


def test_the_backlog_is_what_the_rows_say(scrape):
    CommentFactory.create_batch(2)
    DirectMessageFactory()
    samples = scrape()
    assert samples["comment_processing_queue_length"] == 3
    assert samples["intent_reviews_pending"] == 1
    assert samples["direct_messages_in_state{pending}"] == 1
    assert samples["direct_messages_in_state{sent}"] == 0


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "é"}])
def test_a_stranger_reads_nothing(client, settings, header):
    settings.METRICS_TOKEN = "scraper"
    assert client.get("/metrics", headers=header).status_code == 403


def test_an_empty_token_opens_nothing(client, settings):
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 403


def test_staff_may_look(client):
    client.force_login(UserFactory(is_staff=True))
    assert client.get("/metrics").status_code == 200


DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_docs_list_each_metric_that_there_is_and_no_other():
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \|", DOCS.read_text(), re.MULTILINE)
    assert len(listed) == len(dict(listed))
    assert dict(listed) == declared()


def test_what_cannot_be_read_has_no_sample_and_the_rest_is_there(scrape, monkeypatch):
    def hang():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(10)")
        yield GaugeMetricFamily("never", "Never", value=1)

    monkeypatch.setattr(rows, "QUERY_SECONDS", 0.2)
    monkeypatch.setattr(rows, "READERS", (hang, *rows.READERS))
    CommentFactory()
    samples = scrape()
    assert "never" not in samples
    assert samples["comment_processing_queue_length"] == 1
    assert samples["service_reachable{database}"] == 1


def test_a_scrape_ends_in_time(scrape, monkeypatch):
    monkeypatch.setattr(rows, "ALL_SECONDS", 0)
    samples = scrape()
    assert "comment_processing_queue_length" not in samples
    assert samples["service_reachable{database}"] == 1


def test_without_redis_a_scrape_says_so(no_redis, scrape):
    samples = scrape()
    assert samples["service_reachable{cache}"] == 0
    assert samples["service_reachable{database}"] == 1
    assert "comment_cache_hits_total" not in samples


def test_without_the_database_a_scrape_says_so(scrape, monkeypatch):
    def away(*_args, **_kwargs):
        raise OperationalError("the database is away")

    monkeypatch.setattr(connection, "cursor", away)
    samples = scrape()
    assert samples["service_reachable{database}"] == 0
    assert samples["service_reachable{cache}"] == 1
    assert samples["comment_cache_memory_usage_bytes"] > 0
    assert "comment_processing_queue_length" not in samples


def test_without_the_broker_a_scrape_says_so(scrape, monkeypatch):
    broker = current_app.connection_for_write("redis://127.0.0.1:9/0")
    monkeypatch.setattr(current_app, "connection_for_write", lambda **_: broker)
    assert scrape()["service_reachable{broker}"] == 0


def test_several_scrapes_at_once_read_the_rows_once(client, settings):
    settings.METRICS_TOKEN = "scraper"
    rows.forget()
    said = []
    for _ in range(2):
        answer = client.get("/metrics", headers={"Authorization": "Bearer scraper"})
        said.append(answer.content.partition(b"# HELP comment_processing_queue_length")[2])
    assert said[0] == said[1] != b""


# What is read of the rows -----------------------------------------------------------------------


def test_the_oldest_that_waits_tells_how_far_behind_the_analysis_is(scrape):
    assert scrape()["comment_processing_queue_depth_seconds"] == 0
    CommentFactory(analyzed_at=NOW)
    CommentFactory()
    old = CommentFactory()
    Comment.objects.filter(pk=old.pk).update(created_at=NOW - timedelta(days=2))
    Comment.objects.exclude(pk=old.pk).filter(analyzed_at=None).delete()
    depth = scrape()["comment_processing_queue_depth_seconds"]
    assert depth == pytest.approx(2 * 86_400, abs=600)


def test_reviews_that_are_put_off_do_not_wait(scrape):
    ReviewFactory(flagged_at=NOW - timedelta(hours=9), snoozed_until=NOW + timedelta(days=1))
    assert scrape()["intent_reviews_oldest_seconds"] == 0
    ReviewFactory(flagged_at=NOW - timedelta(hours=2), snoozed_until=NOW - timedelta(hours=1))
    samples = scrape()
    assert samples["intent_reviews_oldest_seconds"] == pytest.approx(7_200, abs=600)
    assert samples["intent_reviews_pending"] == 2


@pytest.mark.parametrize(("hours_left", "count"), [(3, 0), (1, 1), (-1, 0)])
def test_reviews_close_when_the_platform_soon_takes_no_answer(scrape, hours_left, count):
    posted_at = NOW - timedelta(days=7) + timedelta(hours=hours_left)
    ReviewFactory(intent__comment__posted_at=posted_at)
    assert scrape()["intent_reviews_closing"] == count


def test_precision_is_what_operators_agree_with(scrape):
    user = UserFactory()

    def decided(count: int, status: str, **changes: object) -> None:
        ReviewFactory.create_batch(
            count, **{"status": status, "decided_by": user, "decided_at": NOW} | changes
        )

    decided(15, "approved")
    decided(4, "rejected")
    decided(9, "rejected", decided_by=None, decided_by_rule="the campaign's")
    decided(9, "rejected", decided_at=NOW - timedelta(days=8))
    assert "intent_precision_7d" not in scrape()
    decided(1, "rejected")
    assert scrape()["intent_precision_7d"] == 0.75


def test_a_message_is_overdue_when_nothing_is_in_its_way(scrape):
    assert scrape()["direct_messages_overdue_seconds"] == 0
    due = DirectMessageFactory(next_attempt_at=NOW - timedelta(hours=3))
    DirectMessageFactory(next_attempt_at=NOW + timedelta(hours=1))
    DirectMessageFactory(next_attempt_at=NOW - timedelta(hours=9), sender="gone")

    def overdue(**account: object) -> float:
        Account.objects.filter(pk=due.account_id).update(**account)
        return scrape()["direct_messages_overdue_seconds"]

    assert overdue() == pytest.approx(3 * 3600, abs=600)
    assert overdue(paused_until=NOW - timedelta(hours=1)) == pytest.approx(3600, abs=600)
    assert overdue(paused_until=NOW + timedelta(hours=1)) == 0
    assert overdue(paused_until=None, next_slot_at=NOW + timedelta(hours=1)) == 0


def test_the_message_that_expires_first_tells_how_long_it_has(scrape):
    assert "direct_messages_next_expiry_seconds" not in scrape()
    DirectMessageFactory(expires_at=NOW + timedelta(hours=5))
    DirectMessageFactory(expires_at=NOW + timedelta(hours=4))
    DirectMessageFactory(expires_at=NOW + timedelta(hours=1), state="sent", next_attempt_at=None)
    left = scrape()["direct_messages_next_expiry_seconds"]
    assert left == pytest.approx(4 * 3600, abs=600)


def test_an_accounts_limit_is_used_by_our_count_or_the_platforms(scrape, settings):
    settings.MESSAGES_PER_HOUR = 10
    message = DirectMessageFactory()
    DeliveryAttempt.objects.create(message=message, number=1, account=message.account)
    assert scrape()["account_limit_used_ratio{fake_platform}"] == 0.1
    heard = Account.objects.filter(pk=message.account_id)
    heard.update(usage_percent=80, usage_at=NOW)
    assert scrape()["account_limit_used_ratio{fake_platform}"] == 0.8
    heard.update(usage_at=NOW - timedelta(hours=2))
    assert scrape()["account_limit_used_ratio{fake_platform}"] == 0.1
    settings.MESSAGES_PER_HOUR = 0
    heard.update(paused_until=NOW + timedelta(hours=1))
    assert scrape()["account_paused{fake_platform}"] == 1


def test_webhooks_that_are_not_told_are_counted(scrape):
    endpoint = WebhookEndpoint.objects.create(name="crm", url="https://crm.example")
    for number, state in enumerate(("pending", "pending", "failed", "delivered")):
        endpoint.deliveries.create(event_id=str(number), payload={}, state=state)
    samples = scrape()
    assert samples["webhook_deliveries_in_state{pending}"] == 2
    assert samples["webhook_deliveries_in_state{failed}"] == 1


def test_rows_are_about_what_postgresql_knows_with_partitions_added_up(scrape):
    CommentFactory.create_batch(3)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE comments_comment")
    samples = scrape()
    assert samples["comment_db_rows_total{comments_comment}"] == 3
    assert not [name for name in samples if "comments_comment_2" in name]
    assert samples["comment_db_size_bytes"] > 1_000_000
    assert samples["comment_db_connection_pool_active"] >= 1
    assert samples["comment_db_connections_max"] > 10
