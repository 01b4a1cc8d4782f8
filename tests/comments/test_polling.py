"""Watched posts are polled from where the last poll ended."""

from datetime import timedelta

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from comments import polling
from comments.ingest import ingest
from comments.models import Comment, Monitor
from comments.polling import poll_monitors
from comments.sources import Page, get_source
from tests.factories import MonitorFactory

pytestmark = pytest.mark.django_db


def test_new_comments_of_a_watched_post_come_in(fake_platform):
    monitor = MonitorFactory(post_id="p1")
    for n in range(130):
        fake_platform.store.add_comment("p1", text=f"price {n}?", author="ada")
    assert poll_monitors() == 130
    monitor.refresh_from_db()
    assert (monitor.comments_processed, monitor.error_count) == (130, 0)
    assert monitor.last_processed is not None


def test_the_next_poll_reads_only_what_is_new(fake_platform):
    MonitorFactory(post_id="p1")
    fake_platform.store.add_comment("p1", text="price?", author="ada")
    poll_monitors()
    cursor = Monitor.objects.get().cursor
    assert poll_monitors() == 0
    assert Monitor.objects.get().cursor == cursor
    fake_platform.store.add_comment("p1", text="link?", author="eve")
    assert poll_monitors() == 1


def test_a_post_that_is_not_watched_any_more_is_left_alone(fake_platform):
    MonitorFactory(post_id="p1", is_active=False)
    fake_platform.store.add_comment("p1", text="price?", author="ada")
    assert poll_monitors() == 0


def test_a_platform_that_is_away_is_noted_and_forgotten_when_it_is_back(fake_platform, settings):
    monitor = MonitorFactory(post_id="p1")
    fake_platform.store.add_comment("p1", text="price?", author="ada")
    there, settings.FAKE_PLATFORM_URL = settings.FAKE_PLATFORM_URL, "http://127.0.0.1:9"
    poll_monitors()
    assert poll_monitors() == 0
    monitor.refresh_from_db()
    assert monitor.error_count == 2
    assert "ConnectError" in monitor.last_error
    settings.FAKE_PLATFORM_URL = there
    assert poll_monitors() == 1
    monitor.refresh_from_db()
    assert (monitor.error_count, monitor.last_error) == (0, "")


@pytest.mark.parametrize("broken", [{"cursor": "broken"}, {"source": "myspace"}])
def test_a_monitor_that_fails_holds_up_no_other(fake_platform, broken):
    first = MonitorFactory(post_id="p1", **broken)  # never polled, so it is first in line
    MonitorFactory(post_id="p2", last_processed=timezone.now())
    fake_platform.store.add_comment("p2", text="price?", author="ada")
    assert poll_monitors() == 1
    first.refresh_from_db()
    assert first.error_count == 1


def test_a_page_that_leads_to_itself_ends_the_poll(monkeypatch):
    MonitorFactory(post_id="p1")
    again = Page([], "", has_next=True)
    monkeypatch.setattr(polling, "get_source", lambda _: lambda *_: again)
    assert poll_monitors() == 0


def test_a_comment_that_cannot_be_stored_is_logged_and_holds_up_none(fake_platform, caplog):
    MonitorFactory(post_id="p1")
    fake_platform.store.add_comment("p1", text="x" * 20_000, author="ada")
    fake_platform.store.add_comment("p1", text="price?", author="ada")
    assert poll_monitors() == 1
    [record] = [record for record in caplog.records if record.msg == "comment refused"]
    assert record.__dict__["field"] == "text"


def test_what_was_pushed_before_is_not_stored_again(fake_platform):
    comment = fake_platform.store.add_comment("p1", text="price?", author="ada")
    ingest([comment], source="fake_platform", post_id="p1")
    MonitorFactory(post_id="p1")
    assert poll_monitors() == 0
    assert Comment.objects.count() == 1


def test_a_post_that_another_worker_polls_is_left_to_it(fake_platform):
    monitor = MonitorFactory(post_id="p1")
    fake_platform.store.add_comment("p1", text="price?", author="ada")
    assert polling._lease(monitor.pk) == monitor
    assert poll_monitors() == 0


def test_a_worker_that_died_keeps_others_from_its_post_for_a_while_only(fake_platform):
    MonitorFactory(post_id="p1", leased_until=timezone.now() - timedelta(seconds=1))
    fake_platform.store.add_comment("p1", text="price?", author="ada")
    assert poll_monitors() == 1


def test_a_worker_killed_while_it_stores_a_page_loses_nothing(fake_platform, monkeypatch):
    monitor = MonitorFactory(post_id="p1")
    fake_platform.store.add_comment("p1", text="price?", author="ada")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(QuerySet, "update", die)
        with pytest.raises(KeyboardInterrupt):
            polling._store(monitor, get_source("fake_platform")("p1", ""))
    assert not Comment.objects.exists()
    assert poll_monitors() == 1
