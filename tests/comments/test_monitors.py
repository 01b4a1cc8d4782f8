"""Which posts are watched, by whom just now, and when next."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from comments import monitors
from comments.models import Monitor
from comments.monitors import LeaseLost, claim_due, retry_delay, start
from tests.factories import MonitorFactory

pytestmark = pytest.mark.django_db
STOPPED = Monitor.Status.STOPPED


def claim() -> Monitor:
    """What a worker gets that looks now; there must be something."""
    monitor = claim_due()
    assert monitor is not None
    return monitor


def seconds_until_next(monitor: Monitor) -> float:
    monitor.refresh_from_db()
    return (monitor.next_poll_at - timezone.now()).total_seconds()


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 10), (2, 20), (3, 40), (4, 80), (8, 1280), (9, 2560), (10, 3600), (1_000_000, 3600)],
)
def test_each_failure_doubles_the_delay_up_to_an_hour(failures, seconds):
    assert retry_delay(failures) == timedelta(seconds=seconds)


def test_after_the_retries_a_monitor_is_degraded_and_one_success_makes_up_for_all(settings):
    settings.MAX_RETRIES = 2
    monitor = MonitorFactory(interval_seconds=300)
    seen = []
    for _ in range(4):
        Monitor.objects.update(next_poll_at=timezone.now())  # time passes
        monitors.record_failure(claim(), "no answer")
        seen.append((round(seconds_until_next(monitor)), str(monitor.status), monitor.error_count))
    assert seen == [(10, "active", 1), (20, "active", 2), (40, "degraded", 3), (80, "degraded", 4)]
    assert monitor.last_error == "no answer"

    Monitor.objects.update(next_poll_at=timezone.now())
    monitors.record_success(claim(), finished=True)
    assert round(seconds_until_next(monitor)) == 300
    assert (monitor.status, monitor.error_count, monitor.last_error) == ("active", 0, "")


def test_a_poll_that_got_on_but_was_not_done_is_due_again_at_once():
    monitor = MonitorFactory(interval_seconds=300)
    monitors.record_success(claim(), finished=False)
    assert seconds_until_next(monitor) < 1
    assert claim_due() == monitor


def test_an_error_is_stored_whatever_a_platform_wrote_into_it():
    monitor = MonitorFactory()
    monitors.record_failure(claim(), "a\x00b\ud83d" + "x" * 5000)
    monitor.refresh_from_db()
    assert monitor.last_error == "ab?" + "x" * 997


# --- leases -----------------------------------------------------------------------------------


def test_the_one_that_has_been_due_longest_is_first_and_nobody_gets_it_twice():
    now = timezone.now()
    MonitorFactory(post_id="later", next_poll_at=now + timedelta(seconds=60))
    MonitorFactory(post_id="stopped", status=STOPPED)
    short = MonitorFactory(post_id="short", next_poll_at=now - timedelta(seconds=1))
    long = MonitorFactory(post_id="long", next_poll_at=now - timedelta(seconds=9))
    assert [claim_due(), claim_due(), claim_due()] == [long, short, None]


def test_a_lease_covers_a_request_and_the_storing_of_its_page(settings):
    settings.PROCESSING_TIMEOUT = 100
    MonitorFactory()
    until = claim().leased_until
    assert until is not None
    left = until - timezone.now()
    assert timedelta(seconds=125) < left < timedelta(seconds=135)


def test_a_worker_that_died_keeps_others_from_its_post_for_a_while_only():
    monitor = MonitorFactory()
    claim()
    assert claim_due() is None
    Monitor.objects.update(leased_until=timezone.now())  # time passes
    assert claim_due() == monitor


def test_each_page_renews_the_lease():
    MonitorFactory()
    claimed = claim()
    with transaction.atomic():
        row = monitors.lock(claimed)
        monitors.record_page(row, "c1", 3)
    assert row.leased_until != claimed.leased_until
    with pytest.raises(LeaseLost):
        monitors.lock(claimed)
    assert monitors.lock(row).cursor == "c1"


def test_who_was_given_up_changes_nothing():
    monitor = MonitorFactory()
    given_up = claim()
    Monitor.objects.update(leased_until=timezone.now() - timedelta(seconds=1))  # time passes
    at_it = claim()
    for late in (
        lambda: monitors.record_failure(given_up, "late"),
        lambda: monitors.record_success(given_up, finished=True),
        lambda: monitors.release(given_up),
    ):
        late()
        monitor.refresh_from_db()
        assert (monitor.leased_until, monitor.error_count) == (at_it.leased_until, 0)
    with pytest.raises(LeaseLost):
        monitors.lock(given_up)


@pytest.mark.parametrize(
    "end",
    [
        lambda monitor: monitors.record_success(monitor, finished=True),
        lambda monitor: monitors.record_failure(monitor, "no answer"),
    ],
)
def test_the_end_of_a_poll_does_not_start_what_was_stopped_meanwhile(end):
    monitor = MonitorFactory()
    claimed = claim()
    monitors.stop(monitor)
    with pytest.raises(LeaseLost):
        monitors.lock(claimed)
    end(claimed)
    monitor.refresh_from_db()
    assert (monitor.status, monitor.leased_until) == ("stopped", None)


@pytest.mark.django_db(transaction=True)
def test_a_worker_takes_another_monitor_than_the_one_that_is_being_claimed():
    MonitorFactory(post_id="p1", next_poll_at=timezone.now() - timedelta(seconds=9))
    free = MonitorFactory(post_id="p2")

    def work() -> Monitor | None:
        try:
            return claim_due()
        finally:
            connection.close()

    with transaction.atomic():  # as a worker that has not committed its claim
        Monitor.objects.select_for_update().get(post_id="p1")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(work).result() == free


# --- start, stop ------------------------------------------------------------------------------


def test_a_post_has_one_monitor_and_starting_it_again_changes_only_what_is_given():
    first, is_new = start("p1", source="fake_platform")
    assert (is_new, first.interval_seconds, first.status) == (True, 60, "active")
    assert claim_due() == first  # due at once
    again, is_new = start("p1", source="fake_platform", interval_seconds=300)
    assert (is_new, again.pk, again.interval_seconds) == (False, first.pk, 300)
    assert start("p1", source="fake_platform")[0].interval_seconds == 300


def test_a_stopped_monitor_goes_on_where_it_was():
    monitor = MonitorFactory(
        status=STOPPED,
        cursor="c9",
        error_count=5,
        last_error="x",
        next_poll_at=timezone.now() + timedelta(hours=1),
    )
    started, is_new = start(monitor.post_id, source=monitor.source)
    assert not is_new
    assert (started.task_id, started.cursor) == (monitor.task_id, "c9")
    assert (started.status, started.error_count, started.last_error) == ("active", 0, "")
    assert claim_due() == monitor


def test_starting_what_is_degraded_does_not_hurry_it_but_resuming_does():
    later = timezone.now() + timedelta(hours=1)
    monitor = MonitorFactory(status="degraded", error_count=9, next_poll_at=later)
    started, _ = start(monitor.post_id, source=monitor.source, interval_seconds=60)
    assert (started.status, started.next_poll_at) == ("degraded", later)
    assert monitors.resume(monitor)
    assert not monitors.resume(monitor)
    assert claim_due() == monitor


@pytest.mark.parametrize(("seconds", "next_poll"), [(60, 60), (7200, 3600)])
def test_the_next_poll_is_never_further_away_than_a_new_interval(seconds, next_poll):
    later = timezone.now() + timedelta(hours=1)
    monitor = MonitorFactory(interval_seconds=86_400, next_poll_at=later)
    monitors.set_interval(monitor, seconds)
    assert round(seconds_until_next(monitor)) == next_poll


def test_a_stopped_monitor_is_not_polled_and_stopping_again_changes_nothing():
    monitor = MonitorFactory()
    assert monitors.stop(monitor)
    assert not monitors.stop(monitor)
    assert claim_due() is None
