"""`/metrics`: who may read it, and that it says what is there."""

import re
from pathlib import Path

import pytest
from celery import current_app
from django.db import OperationalError, connection
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from comments.ingest import ingest
from tests.factories import CommentFactory, DirectMessageFactory, UserFactory
from tests.metric_names import declared
from threadsagent import row_metrics

pytestmark = pytest.mark.django_db
ITEM = {"id": "c1", "text": "price?", "author": "ada", "timestamp": "2024-01-25T10:30:00Z"}


@pytest.fixture
def scrape(client, settings):
    settings.METRICS_TOKEN = "scraper"

    def read() -> dict[str, float]:
        """Every sample; those with labels as `name{value,…}`."""
        row_metrics.forget()
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


DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_docs_list_each_metric_that_there_is_and_no_other():
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \|", DOCS.read_text(), re.MULTILINE)
    assert len(listed) == len(dict(listed))
    assert dict(listed) == declared()


def test_what_cannot_be_read_has_no_sample_and_the_rest_is_there(scrape, monkeypatch):
    def hang():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(10)")
        yield GaugeMetricFamily("never", "Never", value=1)

    monkeypatch.setattr(row_metrics, "QUERY_SECONDS", 0.2)
    monkeypatch.setattr(row_metrics, "READERS", (hang, *row_metrics.READERS))
    CommentFactory()
    samples = scrape()
    assert "never" not in samples
    assert samples["comment_processing_queue_length"] == 1
    assert samples["service_reachable{database}"] == 1


def test_a_scrape_ends_in_time(scrape, monkeypatch):
    monkeypatch.setattr(row_metrics, "ALL_SECONDS", 0)
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

    monkeypatch.setattr(row_metrics.transaction, "atomic", away)
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
    row_metrics.forget()
    rows = []
    for _ in range(2):
        answer = client.get("/metrics", headers={"Authorization": "Bearer scraper"})
        rows.append(answer.content.partition(b"# HELP comment_processing_queue_length")[2])
    assert rows[0] == rows[1] != b""
