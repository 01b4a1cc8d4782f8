"""Celery tasks of the way in."""

from celery import shared_task

from comments import polling


@shared_task(name="poll_monitors")
def poll_monitors() -> int:
    """Poll the watched posts; returns the number of new comments."""
    return polling.poll_monitors()
