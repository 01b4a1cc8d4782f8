"""Celery tasks of the analysis."""

from functools import partial
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError

from comments.wakeup import begun, wake_unless_woken
from intents import analysis

# Comments that come within this time are analysed together: in calls of 20 each takes five times
# as long as in a batch of hundreds.
GATHER_SECONDS = 0.25


@shared_task(
    name="analyze_comment_batch",
    autoretry_for=(OperationalError, InterfaceError),  # the database was away; the rows still wait
    max_retries=settings.MAX_RETRIES,
    retry_backoff=True,
    ignore_result=False,
    track_started=False,  # it would be one more write, for a task that takes no second
)
def analyze_comment_batch() -> dict[str, int]:
    """Analyse one batch of what waits, and of what failed and is due.

    A full batch wakes one more worker for the rest.
    """
    begun(analyze_comment_batch)
    wake_another = partial(wake_unless_woken, analyze_comment_batch)
    return {"analyzed": analysis.analyze_batch(wake_another)}


def wake_analysis(**_: Any) -> None:
    """New comments are stored (a `comments_stored` receiver)."""
    wake_unless_woken(analyze_comment_batch, GATHER_SECONDS)
