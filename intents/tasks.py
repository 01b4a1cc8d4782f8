"""Celery tasks of the analysis."""

from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError

from comments.wakeup import wake
from intents import analysis


@shared_task(
    name="analyze_comment_batch",
    autoretry_for=(OperationalError, InterfaceError),  # the database was away; the rows still wait
    max_retries=settings.MAX_RETRIES,
    retry_backoff=True,
    ignore_result=False,
)
def analyze_comment_batch() -> dict[str, int]:
    """Analyse one batch of what waits, and of what failed and is due.

    A full batch wakes one more worker for the rest.
    """
    analyzed = analysis.analyze_batch()
    if analyzed == settings.COMMENT_BATCH_SIZE:
        wake(analyze_comment_batch)
    return {"analyzed": analyzed}


def wake_analysis(**_: Any) -> None:
    """New comments are stored (a `comments_stored` receiver)."""
    wake(analyze_comment_batch)
