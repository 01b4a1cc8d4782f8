"""The states of an outgoing message and the moves between them: one table, used by the outbox.

pending -> sending -> sent
                   -> pending   not delivered for certain; again later
                   -> unknown   nobody knows; asked once more, then an operator decides
                   -> failed    refused for good
                   -> expired   the platform's window has closed
unknown -> sending
"""

from django.db import models


class State(models.TextChoices):
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    FAILED = "failed"
    EXPIRED = "expired"


CLAIMABLE = (State.PENDING, State.UNKNOWN)
