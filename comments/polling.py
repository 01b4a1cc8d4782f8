"""Fetch a post's comments from its source, and keep the watched posts up to date."""

import logging
from collections.abc import Iterator
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from comments import metrics
from comments.ingest import IngestReport, ingest
from comments.models import Monitor
from comments.sources import Page, SourceError, get_source

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=2)  # how long a worker that died keeps others from its post


def process_post(post_id: str, source: str) -> Iterator[IngestReport]:
    """Fetch all of a post's comments and store what is new; one report a page.

    Raises SourceError when a page cannot be had; the pages before it are stored.
    """
    for page in _pages(post_id, source, cursor=""):
        yield ingest(page.items, source=source, post_id=post_id)


def poll_monitors() -> int:
    """Poll each active monitor once; a failing one is noted on its row and holds up no other.

    Returns the number of new comments.
    """
    due = Monitor.objects.filter(is_active=True)
    waiting_longest = due.order_by(F("last_processed").asc(nulls_first=True))
    return sum(_poll(pk) for pk in waiting_longest.values_list("pk", flat=True))


def _poll(pk: int) -> int:
    monitor = _lease(pk)
    if monitor is None:
        return 0
    stored = 0
    try:
        for page in _pages(monitor.post_id, monitor.source, monitor.cursor):
            stored += _store(monitor, page)
    except SourceError as error:
        _note_failure(monitor, error)
    Monitor.objects.filter(pk=pk).update(leased_until=None)
    return stored


def _lease(pk: int) -> Monitor | None:
    """Take a monitor for a while, so that no second worker polls its post; None if one does.

    No transaction is open while the platform is asked, so this is a time on the row. A second
    poll would do no harm but to ask for the same pages.
    """
    free = Q(leased_until=None) | Q(leased_until__lt=Now())
    taken = Monitor.objects.filter(free, pk=pk, is_active=True).update(leased_until=Now() + LEASE)
    return Monitor.objects.get(pk=pk) if taken else None


def _pages(post_id: str, source: str, cursor: str) -> Iterator[Page]:
    """The pages from `cursor` on. Raises SourceError."""
    fetch_page = get_source(source)
    while True:
        try:
            page = fetch_page(post_id, cursor)
        except SourceError:
            metrics.ERRORS.labels("source").inc()
            raise
        yield page
        if not page.has_next or page.cursor == cursor:  # the latter would never end
            return
        cursor = page.cursor


@transaction.atomic
def _store(monitor: Monitor, page: Page) -> int:
    """A page's comments and the cursor behind them are stored together or not at all."""
    report = ingest(page.items, source=monitor.source, post_id=monitor.post_id)
    for error in report.errors:  # nobody else will hear of it: the cursor moves on
        said = {"id": error.id, "field": error.field, "problem": error.message}
        logger.warning("comment refused", extra={"monitor": monitor.pk, **said})
    Monitor.objects.filter(pk=monitor.pk).update(
        cursor=page.cursor,
        comments_processed=F("comments_processed") + report.stored,
        last_processed=Now(),
        error_count=0,
        last_error="",
    )
    return report.stored


def _note_failure(monitor: Monitor, error: SourceError) -> None:
    logger.warning("poll failed", extra={"monitor": monitor.pk, "error": str(error)})
    Monitor.objects.filter(pk=monitor.pk).update(
        error_count=F("error_count") + 1, last_error=str(error)
    )
