"""Which posts are watched, who is polling one just now, and when it is polled next.

Here the table of monitors is written; `comments.polling` does the polling. Who polls a post holds
a lease on its monitor: no transaction is open while the platform is asked, so it is a time on the
row. That time is also what the holder is known by: when it is another one by now, the lease ran
out and somebody else took over, and whoever comes late changes nothing any more.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Least, Now

from comments.models import Monitor
from comments.parsing import storable

STORING = timedelta(seconds=30)  # the most that a page may take from its arrival to its commit
FIRST_DELAY = timedelta(seconds=10)
LONGEST_DELAY = timedelta(hours=1)
MAX_ERROR_LENGTH = 1000  # characters


class LeaseLost(Exception):
    """Another worker has taken the monitor over, or somebody has stopped or deleted it."""


# --- what people do ---------------------------------------------------------------------------


@transaction.atomic
def start(
    post_id: str, *, source: str, interval_seconds: int | None = None, account: str = ""
) -> tuple[Monitor, bool]:
    """Watch a post; the monitor, and whether it is a new one.

    One that was stopped goes on from where it was. The interval changes only if one is given;
    whose account the post is in (`account`) is said when it is new.
    """
    given: dict[str, Any] = {"account": account}
    if interval_seconds is not None:
        given["interval_seconds"] = interval_seconds
    monitor, is_new = Monitor.objects.get_or_create(source=source, post_id=post_id, defaults=given)
    if not is_new:
        if monitor.status == Monitor.Status.STOPPED:
            resume(monitor)
        if interval_seconds is not None:
            set_interval(monitor, interval_seconds)
    return monitor, is_new


def resume(monitor: Monitor) -> bool:
    """Poll a stopped or degraded monitor at once; False if it was active anyway."""
    rested = Monitor.objects.filter(pk=monitor.pk).exclude(status=Monitor.Status.ACTIVE)
    changed = rested.update(
        status=Monitor.Status.ACTIVE, next_poll_at=Now(), error_count=0, last_error=""
    )
    monitor.refresh_from_db()
    return bool(changed)


def stop(monitor: Monitor) -> bool:
    """Poll it no more: a page that is under way is not stored. False if it was stopped before."""
    running = Monitor.objects.filter(pk=monitor.pk).exclude(status=Monitor.Status.STOPPED)
    changed = running.update(status=Monitor.Status.STOPPED)
    monitor.refresh_from_db()
    return bool(changed)


def set_interval(monitor: Monitor, seconds: int) -> None:
    """Change the interval; the next poll is no further away than the new one."""
    other = Monitor.objects.filter(pk=monitor.pk).exclude(interval_seconds=seconds)
    other.update(
        interval_seconds=seconds,
        next_poll_at=Least("next_poll_at", Now() + timedelta(seconds=seconds)),
    )
    monitor.refresh_from_db()


# --- what a poll does -------------------------------------------------------------------------


@transaction.atomic
def claim_due() -> Monitor | None:
    """Lease the monitor that has been due for longest; None when none is due.

    Workers that look at the same moment get different ones.
    """
    free = Q(leased_until=None) | Q(leased_until__lte=Now())
    due = Monitor.objects.exclude(status=Monitor.Status.STOPPED).filter(
        free, next_poll_at__lte=Now()
    )
    monitor = due.select_for_update(skip_locked=True).order_by("next_poll_at").first()
    if monitor is not None:
        _lease(monitor)
    return monitor


def lock(monitor: Monitor) -> Monitor:
    """The leased monitor as it is now, locked until the caller's transaction ends.

    Raises LeaseLost.
    """
    row = _locked(monitor)
    if row is None or row.status == Monitor.Status.STOPPED:
        raise LeaseLost
    return row


def record_page(row: Monitor, cursor: str, stored: int) -> None:
    """In the transaction that stores a page: go on behind it, under a new lease.

    `row` is what `lock` gave.
    """
    row.cursor = cursor
    row.comments_processed += stored
    row.last_processed = Now()
    row.save(update_fields=["cursor", "comments_processed", "last_processed"])
    _lease(row)


@transaction.atomic
def record_success(monitor: Monitor, *, finished: bool) -> None:
    """End a poll that went well: due after the interval, or at once if it was not `finished`."""
    row = _locked(monitor)
    if row is not None:
        _end_poll(row, 0, "", row.interval if finished else timedelta(0))


@transaction.atomic
def record_failure(monitor: Monitor, error: str) -> None:
    """End a poll that failed; when `MAX_RETRIES` retries have failed too, it is degraded."""
    row = _locked(monitor)
    if row is not None:
        failures = row.error_count + 1
        _end_poll(row, failures, storable(error)[:MAX_ERROR_LENGTH], retry_delay(failures))


def retry_delay(failures: int) -> timedelta:
    """How long to wait after so many failed polls in a row: 10 s, then twice as long each time.

    An hour at most, so that whatever it was that failed, the post is looked at again.
    """
    times: int = 2 ** min(failures - 1, 10)
    return min(FIRST_DELAY * times, LONGEST_DELAY)


def release(monitor: Monitor) -> None:
    """Give the lease back, if it is still held, and change nothing else."""
    _held(monitor).update(leased_until=None)


def _held(monitor: Monitor) -> QuerySet[Monitor]:
    return Monitor.objects.filter(pk=monitor.pk, leased_until=monitor.leased_until)


def _locked(monitor: Monitor) -> Monitor | None:
    """The monitor as it is now, or None if the lease is another's by now."""
    return _held(monitor).select_for_update().first()


def _lease(row: Monitor) -> None:
    """Lease a locked row for as long as a request and the storing of its page may take."""
    row.leased_until = Now() + timedelta(seconds=settings.PROCESSING_TIMEOUT) + STORING
    row.save(update_fields=["leased_until"])
    row.refresh_from_db(fields=["leased_until"])  # the database's clock, the same for all workers


def _end_poll(row: Monitor, failures: int, error: str, delay: timedelta) -> None:
    if row.status != Monitor.Status.STOPPED:
        degraded = failures > settings.MAX_RETRIES
        row.status = Monitor.Status.DEGRADED if degraded else Monitor.Status.ACTIVE
    row.error_count = failures
    row.last_error = error
    row.next_poll_at = Now() + delay
    row.leased_until = None
    row.save(update_fields=["status", "error_count", "last_error", "next_poll_at", "leased_until"])
