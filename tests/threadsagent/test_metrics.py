"""`/metrics`: who may read it, and that it says what is there."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from comments.ingest import ingest
from tests.factories import CommentFactory, DirectMessageFactory, UserFactory
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


def test_an_ingest_moves_the_specs_counters(scrape):
    before = scrape()
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
