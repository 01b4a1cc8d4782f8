"""Celery tasks of the way in."""

from celery import shared_task
from django.db import IntegrityError, OperationalError

from comments import partitions, polling, search


@shared_task(name="poll_monitors")
def poll_monitors() -> int:
    """Poll the watched posts; returns the number of new comments."""
    return polling.poll_monitors()


@shared_task(
    name="maintain_partitions",
    # A table that is in use is not waited for long; a decision may be under way on a review.
    autoretry_for=(OperationalError, IntegrityError),
    max_retries=5,
    retry_backoff=True,
)
def maintain_partitions() -> None:
    """Make the partitions of the days to come, drop those that are older than is kept.

    Then those of the days that are over get their index of words.
    """
    partitions.ensure_partitions()
    partitions.retire()
    search.index_past_days()
