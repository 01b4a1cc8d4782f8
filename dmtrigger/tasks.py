"""Celery tasks of the outbox, the webhooks and of what is kept only for a time."""

from celery import shared_task

from comments.wakeup import begun, wake, wake_once, wake_unless_woken
from dmtrigger import clicks, outbox, pacing, retention, webhooks

MESSAGES_A_TASK = 100  # then the next task goes on, so that a worker can be stopped in between
BATCHES_A_TASK = 10  # of webhooks; each can take ten seconds


@shared_task(name="deliver_direct_messages")
def deliver_direct_messages() -> dict[str, int]:
    """Deliver what is due. Where there is more than one message another worker is woken, which
    does the same, so that many slow calls are made at once. Where all that is due waits for its
    account's next slot, a worker is woken then."""
    begun(deliver_direct_messages)
    for delivered in range(MESSAGES_A_TASK):
        if outbox.deliver_next() is None:
            if moment := pacing.next_slot_at():
                wake_once(deliver_direct_messages, moment)
            return {"attempted": delivered}
        if delivered == 0 and outbox.is_more_due():
            wake_unless_woken(deliver_direct_messages)
    wake_unless_woken(deliver_direct_messages)
    return {"attempted": MESSAGES_A_TASK}


@shared_task(name="rescue_direct_messages")
def rescue_direct_messages() -> int:
    """Settle messages whose worker died while it was sending, and those whose window has closed;
    returns how many."""
    return outbox.rescue_stuck() + outbox.expire_overdue()


@shared_task(name="deliver_webhooks")
def deliver_webhooks() -> None:
    """Tell other systems what is due."""
    for _batch in range(BATCHES_A_TASK):
        if webhooks.deliver_next() is None:
            return
    wake(deliver_webhooks)


@shared_task(name="drop_old_data")
def drop_old_data() -> dict[str, int]:
    """Drop, or take the persons out of, what is older than it is kept; returns how much."""
    return retention.drop_old()


@shared_task(name="store_clicks")
def store_clicks() -> int:
    """Store the clicks that are noted in Redis; returns how many."""
    return clicks.store_noted()
