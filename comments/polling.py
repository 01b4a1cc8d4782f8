"""Fetch a post's comments from its source, and keep the watched posts up to date."""

import logging
from collections.abc import Iterator

from django.db import transaction
from django.utils import timezone

from comments import metrics
from comments.ingest import IngestReport, ingest
from comments.models import Monitor
from comments.sources import SourceError, get_source

logger = logging.getLogger(__name__)


def process_post(post_id: str, source: str) -> Iterator[IngestReport]:
    """Fetch all of a post's comments and store what is new; one report a page.

    Raises SourceError when a page cannot be had; the pages before it are stored.
    """
    fetch_page = get_source(source)
    cursor: str | None = None
    while True:
        try:
            page = fetch_page(post_id, cursor)
        except SourceError:
            metrics.ERRORS.labels("source").inc()
            raise
        yield ingest(page.items, source=source, post_id=post_id)
        if not page.has_next or page.cursor == cursor:  # the latter would never end
            return
        cursor = page.cursor


def poll_monitors() -> int:
    """Poll each active monitor once; a failing one is noted on its row and holds up no other.

    Returns the number of new comments.
    """
    active = Monitor.objects.filter(is_active=True).order_by("last_processed")
    return sum(_poll(pk) for pk in active.values_list("pk", flat=True))


def _poll(pk: int) -> int:
    stored = 0
    has_next = True
    while has_next:
        # One transaction a page: its comments and the cursor behind them are stored together or
        # not at all. The row lock keeps a second worker from polling the same post.
        with transaction.atomic():
            monitor = _lock(pk)
            if monitor is None:
                return stored
            try:
                page = get_source(monitor.source)(monitor.post_id, monitor.cursor or None)
            except SourceError as error:
                _note_failure(monitor, error)
                return stored
            report = ingest(page.items, source=monitor.source, post_id=monitor.post_id)
            has_next = page.has_next and page.cursor != monitor.cursor  # else it would never end
            _note_success(monitor, page.cursor or "", report.stored)
            stored += report.stored
    return stored


def _lock(pk: int) -> Monitor | None:
    monitors = Monitor.objects.select_for_update(skip_locked=True)
    return monitors.filter(pk=pk, is_active=True).first()


def _note_success(monitor: Monitor, cursor: str, stored: int) -> None:
    monitor.cursor = cursor
    monitor.comments_processed += stored
    monitor.last_processed = timezone.now()
    monitor.error_count = 0
    monitor.last_error = ""
    monitor.save()


def _note_failure(monitor: Monitor, error: SourceError) -> None:
    metrics.ERRORS.labels("source").inc()
    logger.warning("poll failed", extra={"monitor": monitor.pk, "error": str(error)})
    monitor.error_count += 1
    monitor.last_error = str(error)
    monitor.save(update_fields=["error_count", "last_error"])
