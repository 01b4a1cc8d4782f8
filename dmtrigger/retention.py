"""What is kept only for a time, and then dropped, or freed of the person in it; by a beat task.

In small transactions, so that nobody waits long. A run that is cut off is taken up by the next.
"""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from comments import idempotency
from dmtrigger import outbox, webhooks
from dmtrigger.models import Click, DirectMessage
from dmtrigger.privacy import forget_in_admin_log

CHUNK = 1_000


def drop_old() -> dict[str, int]:
    """All that is over its time; how many rows it was of each kind."""
    return {
        "webhook deliveries": _drop_deliveries(),
        "clicks": _drop_clicks(),
        "messages": _retire_messages(),
        "answers to calls": idempotency.drop_old(),
    }


def _drop_deliveries() -> int:
    total = 0
    while dropped := webhooks.drop_old():
        total += dropped
    return total


def _drop_clicks() -> int:
    """The only place besides `dmtrigger.clicks` that touches clicks; it only takes away."""
    before = timezone.now() - timedelta(days=settings.CLICK_RETENTION_DAYS)
    total = 0
    while old := list(Click.objects.filter(at__lt=before).values_list("pk", flat=True)[:CHUNK]):
        Click.objects.filter(pk__in=old).delete()
        total += len(old)
    return total


def _retire_messages() -> int:
    before = timezone.now() - timedelta(days=settings.MESSAGE_RETENTION_DAYS)
    after = total = 0
    while (retired := outbox.retire(before, after, CHUNK)) is not None:
        forget_in_admin_log(DirectMessage, retired.message_ids)
        after = retired.last_event
        total += len(retired.message_ids)
    return total
