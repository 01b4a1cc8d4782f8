"""Fetch a post's comments from its source, and keep the watched posts up to date."""

import logging
import math
import time
from collections.abc import Iterator

from django.conf import settings
from django.db import transaction

from comments import metrics, monitors
from comments.http import requests_end_by
from comments.ingest import IngestReport, ingest
from comments.models import Monitor
from comments.sources import Page, SourceError, get_source

logger = logging.getLogger(__name__)


class OutOfTime(SourceError):
    """The post could not be read to its end in the time there was."""


def process_post(
    post_id: str, source: str, deadline: float = math.inf, *, account: str = ""
) -> Iterator[IngestReport]:
    """Fetch all of a post's comments and store what is new; one report a page.

    `deadline` is a time of `time.monotonic()`. Raises SourceError when a page cannot be had, and
    OutOfTime when the deadline came first; the pages before that are stored.
    """
    try:
        for page in _pages(post_id, source, "", deadline):
            yield ingest(page.items, source=source, post_id=post_id, account=account)
    except OutOfTime:
        metrics.ERRORS.labels("timeout").inc()
        raise


def poll_monitors() -> int:
    """Poll the monitors that are due one after another, for about `PROCESSING_TIMEOUT` seconds.

    Returns the number of new comments. Others may do the same at the same time. A monitor that
    fails has that noted on its row and holds up no other.
    """
    end = time.monotonic() + settings.PROCESSING_TIMEOUT
    stored = 0
    while monitor := monitors.claim_due():
        stored += _poll(monitor)
        if time.monotonic() >= end:
            break  # beat asks again soon; who stops this worker need not wait for all the others
    return stored


def _poll(monitor: Monitor) -> int:
    """Read a claimed monitor's post on from its cursor; returns the number of new comments."""
    deadline = time.monotonic() + settings.PROCESSING_TIMEOUT
    pages = stored = 0
    try:
        for page in _pages(monitor.post_id, monitor.source, monitor.cursor, deadline):
            stored += _store(monitor, page)
            pages += 1
    except monitors.LeaseLost:
        logger.info("poll given up", extra={"monitor": monitor.task_id})
        monitors.release(monitor)
    except OutOfTime as error:
        if pages:
            monitors.record_success(monitor, finished=False)
        else:
            metrics.ERRORS.labels("timeout").inc()
            _note_failure(monitor, str(error))
    except SourceError as error:
        _note_failure(monitor, str(error))
    except Exception as error:  # one of ours, perhaps with this post only: the others go on
        metrics.ERRORS.labels("unexpected").inc()
        logger.exception("poll broken off", extra={"monitor": monitor.task_id})
        monitors.record_failure(monitor, repr(error))
    else:
        monitors.record_success(monitor, finished=True)
    return stored


def _pages(post_id: str, source: str, cursor: str, deadline: float) -> Iterator[Page]:
    """The pages from `cursor` on. Raises SourceError, which is OutOfTime from the deadline on."""
    fetch_page = get_source(source)
    seen = {cursor}
    while True:
        try:
            with metrics.STAGES.labels("fetch").time(), requests_end_by(deadline):
                page = fetch_page(post_id, cursor)
        except SourceError as error:
            if time.monotonic() >= deadline:
                raise OutOfTime(str(error)) from error
            metrics.ERRORS.labels("source").inc()
            raise
        yield page
        if not page.has_next or page.cursor in seen:  # the latter would never end
            return
        seen.add(page.cursor)
        if time.monotonic() >= deadline:
            raise OutOfTime(f"post {post_id} has more pages than could be read in the time")
        cursor = page.cursor


def _store(monitor: Monitor, page: Page) -> int:
    """A page's comments and the cursor behind them are stored together or not at all.

    Raises LeaseLost.
    """
    with transaction.atomic():
        row = monitors.lock(monitor)
        report = ingest(
            page.items, source=monitor.source, post_id=monitor.post_id, account=monitor.account
        )
        monitors.record_page(row, page.cursor, report.stored)
    monitor.leased_until = row.leased_until
    for error in report.rejected:  # nobody else will hear of it: the cursor moves on
        said = {"id": error.id, "field": error.field, "problem": error.reason}
        logger.warning("comment refused", extra={"monitor": monitor.task_id, **said})
    return report.stored


def _note_failure(monitor: Monitor, error: str) -> None:
    logger.warning("poll failed", extra={"monitor": monitor.task_id, "error": error})
    monitors.record_failure(monitor, error)
