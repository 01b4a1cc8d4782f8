"""Watched posts are polled from where the last poll ended."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Lock

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from prometheus_client import REGISTRY

from comments import monitors, polling
from comments.ingest import ingest
from comments.models import Comment, Monitor
from comments.monitors import claim_due
from comments.polling import OutOfTime, poll_monitors, process_post
from comments.sources import FetchPage, Page, get_source
from tests.factories import MonitorFactory

pytestmark = pytest.mark.django_db


def add_comments(platform, post_id: str, count: int) -> None:
    for n in range(count):
        platform.store.add_comment(post_id, text=f"price {n}?", author="ada")


def poll_now() -> int:
    """A poll after so much time that every monitor is due."""
    Monitor.objects.update(next_poll_at=timezone.now())
    return poll_monitors()


def errors(kind: str) -> float:
    name = "comment_processing_errors_total"
    return REGISTRY.get_sample_value(name, {"error_type": kind}) or 0


@pytest.fixture
def use_source(monkeypatch):
    """`use_source(fetch_page)`: every post's comments come from there."""

    def use(fetch_page: FetchPage) -> None:
        monkeypatch.setattr(polling, "get_source", lambda _: fetch_page)

    return use


def test_new_comments_of_a_watched_post_come_in(fake_platform):
    monitor = MonitorFactory(post_id="p1")
    add_comments(fake_platform, "p1", 130)  # more than one page
    assert poll_monitors() == 130
    monitor.refresh_from_db()
    assert (monitor.comments_processed, monitor.error_count) == (130, 0)
    assert monitor.last_processed is not None
    assert monitor.leased_until is None


def test_the_next_poll_reads_only_what_is_new(fake_platform, use_source):
    MonitorFactory(post_id="p1")
    add_comments(fake_platform, "p1", 3)
    assert poll_now() == 3
    cursor = Monitor.objects.get().cursor
    read: list[int] = []

    def counted(post_id: str, cursor: str) -> Page:
        page = get_source("fake_platform")(post_id, cursor)
        read.append(len(page.items))
        return page

    use_source(counted)
    assert poll_now() == 0
    assert Monitor.objects.get().cursor == cursor
    add_comments(fake_platform, "p1", 1)
    assert poll_now() == 1
    assert read == [0, 1]


def test_a_post_is_polled_once_an_interval(fake_platform):
    MonitorFactory(post_id="p1", interval_seconds=60)
    poll_monitors()
    add_comments(fake_platform, "p1", 1)
    assert poll_monitors() == 0
    Monitor.objects.update(next_poll_at=timezone.now() - timedelta(seconds=1))  # time passes
    assert poll_monitors() == 1


def test_a_post_that_is_not_watched_any_more_is_left_alone(fake_platform):
    MonitorFactory(post_id="p1", status=Monitor.Status.STOPPED)
    add_comments(fake_platform, "p1", 1)
    assert poll_monitors() == 0


def test_a_page_leading_to_itself_ends_the_poll(use_source):
    MonitorFactory(post_id="p1")
    use_source(lambda *_: Page([], "", has_next=True))
    assert poll_monitors() == 0


def test_what_was_pushed_before_is_not_stored_again(fake_platform):
    comment = fake_platform.store.add_comment("p1", text="price?", author="ada")
    ingest([comment], source="fake_platform", post_id="p1")
    MonitorFactory(post_id="p1")
    assert poll_monitors() == 0
    assert Comment.objects.count() == 1


# --- errors -----------------------------------------------------------------------------------


def test_a_platform_that_is_away_is_noted_and_forgotten_when_it_is_back(fake_platform, settings):
    monitor = MonitorFactory(post_id="p1")
    add_comments(fake_platform, "p1", 1)
    there, settings.FAKE_PLATFORM_URL = settings.FAKE_PLATFORM_URL, "http://127.0.0.1:9"
    for _ in range(4):  # the first, and three retries
        assert poll_now() == 0
    monitor.refresh_from_db()
    assert (monitor.status, monitor.error_count) == ("degraded", 4)
    assert "ConnectError" in monitor.last_error
    settings.FAKE_PLATFORM_URL = there
    assert poll_now() == 1
    monitor.refresh_from_db()
    assert (monitor.status, monitor.error_count, monitor.last_error) == ("active", 0, "")


def test_a_failed_poll_is_not_tried_again_at_once():
    MonitorFactory(post_id="p1")
    poll_monitors()
    poll_monitors()
    assert Monitor.objects.get().error_count == 1


@pytest.mark.parametrize("broken", [{"cursor": "broken"}, {"source": "myspace"}])
def test_a_monitor_that_fails_holds_up_no_other(fake_platform, broken):
    first = MonitorFactory(
        post_id="p1", next_poll_at=timezone.now() - timedelta(seconds=9), **broken
    )
    MonitorFactory(post_id="p2")
    add_comments(fake_platform, "p2", 1)
    assert poll_monitors() == 1
    first.refresh_from_db()
    assert first.error_count == 1


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), OperationalError("deadlock")])
def test_an_error_that_nobody_expected_is_one_monitors_alone(use_source, caplog, error):
    first = MonitorFactory(post_id="p1", next_poll_at=timezone.now() - timedelta(seconds=9))
    second = MonitorFactory(post_id="p2")

    def fetch_page(post_id: str, _: str) -> Page:
        if post_id == "p1":
            raise error
        return Page([], "", has_next=False)

    use_source(fetch_page)
    poll_monitors()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.error_count, first.last_error, first.leased_until) == (1, repr(error), None)
    assert (second.error_count, second.leased_until) == (0, None)
    [record] = [record for record in caplog.records if record.msg == "poll broken off"]
    assert record.exc_info


def test_a_comment_that_cannot_be_stored_is_logged_and_holds_up_none(fake_platform, caplog):
    MonitorFactory(post_id="p1")
    fake_platform.store.add_comment("p1", text="x" * 20_000, author="ada")
    add_comments(fake_platform, "p1", 1)
    assert poll_monitors() == 1
    [record] = [record for record in caplog.records if record.msg == "comment refused"]
    assert record.__dict__["field"] == "text"


# --- time -------------------------------------------------------------------------------------


@pytest.fixture
def slow_source(fake_platform, settings, use_source):
    """The fake platform with 250 comments under p1, three pages; one page takes all the time."""
    settings.PROCESSING_TIMEOUT = 0.5
    add_comments(fake_platform, "p1", 250)

    def fetch_page(post_id: str, cursor: str) -> Page:
        page = get_source("fake_platform")(post_id, cursor)
        time.sleep(0.5)
        return page

    use_source(fetch_page)


def test_a_post_too_long_for_one_poll_goes_on_with_the_next(slow_source):
    monitor = MonitorFactory(post_id="p1", interval_seconds=3600)
    before = errors("timeout")
    assert [poll_monitors(), poll_monitors(), poll_monitors(), poll_monitors()] == [100, 100, 50, 0]
    monitor.refresh_from_db()
    assert (monitor.comments_processed, monitor.error_count) == (250, 0)
    assert errors("timeout") == before


def test_a_platform_that_does_not_get_one_page_out_in_time_is_an_error(
    fake_platform, settings, monkeypatch
):
    monitor = MonitorFactory(post_id="p1")
    settings.PROCESSING_TIMEOUT = 0.2
    monkeypatch.setattr(fake_platform.store, "comments", lambda *_: time.sleep(1))
    before = errors("timeout")
    started = time.monotonic()
    poll_monitors()
    assert time.monotonic() - started < 0.9
    monitor.refresh_from_db()
    assert (monitor.error_count, monitor.leased_until) == (1, None)
    assert "no complete answer within 0.2 s" in monitor.last_error
    assert errors("timeout") == before + 1


def test_a_later_page_has_only_the_time_that_is_left(fake_platform, settings, monkeypatch):
    settings.PROCESSING_TIMEOUT = 0.6
    monitor = MonitorFactory(post_id="p1")
    add_comments(fake_platform, "p1", 101)
    read = fake_platform.store.comments

    def slow(post_id: str, after: int, limit: int) -> object:
        time.sleep(1.2 if after else 0.4)
        return read(post_id, after, limit)

    monkeypatch.setattr(fake_platform.store, "comments", slow)
    started = time.monotonic()
    assert poll_monitors() == 100
    assert time.monotonic() - started < 0.95
    monitor.refresh_from_db()
    assert monitor.error_count == 0  # it got on
    assert claim_due() == monitor


def test_a_poll_task_ends_after_its_time_and_leaves_the_rest_to_the_next(slow_source):
    MonitorFactory(post_id="p2", next_poll_at=timezone.now() - timedelta(seconds=9))
    MonitorFactory(post_id="p1")
    assert [poll_monitors(), poll_monitors()] == [0, 100]


def test_fetching_a_post_over_the_api_ends_after_its_time(slow_source, api_of):
    before = errors("timeout")
    answer = api_of("comments.add_comment").post(
        "/comments/process", {"post_id": "p1"}, format="json"
    )
    assert answer.status_code == 504
    assert "100 comments were stored" in answer.json()["detail"]
    assert errors("timeout") == before + 1


def test_fetching_a_post_by_hand_may_take_as_long_as_it_takes(slow_source, settings):
    settings.PROCESSING_TIMEOUT = 30
    assert [report.stored for report in process_post("p1", "fake_platform")] == [100, 100, 50]
    with pytest.raises(OutOfTime):
        list(process_post("p1", "fake_platform", deadline=time.monotonic()))


# --- several workers --------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_workers_share_the_monitors_and_no_post_is_polled_by_two(use_source):
    for n in range(8):
        MonitorFactory(post_id=f"p{n}")
    lock = Lock()
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    total = most_at_once = 0

    def fetch_page(post_id: str, _: str) -> Page:
        nonlocal total, most_at_once
        with lock:
            total += 1
            now[post_id] += 1
            most[post_id] = max(most[post_id], now[post_id])
            most_at_once = max(most_at_once, now.total())
        time.sleep(0.05)
        with lock:
            now[post_id] -= 1
        return Page([], "", has_next=False)

    def work(_: int) -> None:
        try:
            poll_monitors()
        finally:
            connection.close()

    use_source(fetch_page)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert total == 8
    assert set(most.values()) == {1}
    assert most_at_once > 1


def test_a_killed_worker_leaves_its_post_to_the_next_when_its_lease_ends(
    fake_platform, monkeypatch
):
    MonitorFactory(post_id="p1")
    add_comments(fake_platform, "p1", 1)

    def die(*_: object) -> Page:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(polling, "get_source", lambda _: die)
        with pytest.raises(KeyboardInterrupt):
            poll_monitors()
    assert poll_monitors() == 0
    Monitor.objects.update(leased_until=timezone.now())  # time passes
    assert poll_monitors() == 1


def test_a_worker_killed_while_it_stores_a_page_loses_nothing(fake_platform, monkeypatch):
    MonitorFactory(post_id="p1")
    add_comments(fake_platform, "p1", 1)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(monitors, "record_page", die)
        with pytest.raises(KeyboardInterrupt):
            poll_monitors()
    assert not Comment.objects.exists()
    Monitor.objects.update(leased_until=timezone.now())  # time passes
    assert poll_monitors() == 1


def test_a_worker_that_was_given_up_does_not_move_the_cursor_back(fake_platform, use_source):
    monitor = MonitorFactory(post_id="p1")
    add_comments(fake_platform, "p1", 250)
    others: list[int] = []

    def fetch_page(post_id: str, cursor: str) -> Page:
        page = get_source("fake_platform")(post_id, cursor)
        if not others:  # the first worker, with its first page: it takes too long, and another
            others.append(0)  # polls the post to its end
            Monitor.objects.update(leased_until=timezone.now())
            others.append(poll_monitors())
            monitor.refresh_from_db()
        return page

    use_source(fetch_page)
    assert poll_monitors() == 0
    assert others == [0, 250]
    end = monitor.cursor
    monitor.refresh_from_db()
    assert (monitor.cursor, monitor.comments_processed, monitor.error_count) == (end, 250, 0)


def test_what_comes_after_a_monitor_was_stopped_is_not_stored(fake_platform, use_source):
    monitor = MonitorFactory(post_id="p1")
    add_comments(fake_platform, "p1", 250)

    def fetch_page(post_id: str, cursor: str) -> Page:
        if cursor:
            monitors.stop(monitor)
        return get_source("fake_platform")(post_id, cursor)

    use_source(fetch_page)
    assert poll_monitors() == 100
    monitor.refresh_from_db()
    assert (monitor.status, monitor.leased_until) == ("stopped", None)
    monitors.resume(monitor)
    use_source(get_source("fake_platform"))
    assert poll_monitors() == 150
