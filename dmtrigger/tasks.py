"""Celery tasks of the outbox."""

from celery import shared_task

from comments.wakeup import wake
from dmtrigger import outbox

MESSAGES_A_TASK = 100  # then the next task goes on, so that a worker can be stopped in between


@shared_task(name="deliver_direct_messages", ignore_result=False)
def deliver_direct_messages() -> dict[str, int]:
    """Deliver what is due."""
    for delivered in range(MESSAGES_A_TASK):
        if outbox.deliver_next() is None:
            return {"attempted": delivered}
    wake(deliver_direct_messages)
    return {"attempted": MESSAGES_A_TASK}


@shared_task(name="rescue_direct_messages")
def rescue_direct_messages() -> int:
    """Settle messages whose worker died while it was sending, and those whose window has closed;
    returns how many."""
    return outbox.rescue_stuck() + outbox.expire_overdue()
