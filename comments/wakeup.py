"""Tell a worker that there is something to do.

The rows in the database are the work; a message only says "look now". So a broker that is away
costs time until the next sweep, never data, and never an error to whoever stored the rows.
"""

import logging

from celery import Task
from kombu.exceptions import OperationalError

from comments import metrics

logger = logging.getLogger(__name__)

EXPIRES_SECONDS = 60  # by then a sweep has looked; so that none pile up while no worker runs


def wake(task: Task) -> None:  # type: ignore[type-arg]  # generic only in the stubs
    """Publish one message without arguments for `task`; a dead broker is logged and counted."""
    try:
        task.apply_async(expires=EXPIRES_SECONDS)
    except OperationalError as error:
        metrics.WAKE_UPS.labels(task.name, "failed").inc()
        logger.warning(
            "broker is away, the sweep will do it", extra={"task": task.name, "error": str(error)}
        )
    else:
        metrics.WAKE_UPS.labels(task.name, "sent").inc()
