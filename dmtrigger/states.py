"""The states of an outgoing message and the moves between them: one table, used by the outbox.

`docs/messages.md` has the picture, which a test compares with this table.
"""

from django.db import models


class State(models.TextChoices):
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPPRESSED = "suppressed"


MOVES: dict[State, frozenset[State]] = {
    # claimed by a worker; taken back by an operator; refused by the policy at the last look; the
    # platform's window has closed
    State.PENDING: frozenset({State.SENDING, State.CANCELLED, State.SUPPRESSED, State.EXPIRED}),
    State.SENDING: frozenset(
        {
            State.SENT,
            State.PENDING,  # not delivered for certain; again later
            State.UNKNOWN,  # nobody knows
            State.FAILED,  # refused for good
            State.EXPIRED,
        }
    ),
    # asked once more; settled by the platform's echo or by an operator
    State.UNKNOWN: frozenset({State.SENDING, State.SENT, State.PENDING, State.EXPIRED}),
    State.CANCELLED: frozenset({State.PENDING}),  # the approval was undone, and is made again
    State.FAILED: frozenset(),
    State.EXPIRED: frozenset(),
    State.SUPPRESSED: frozenset(),
    State.SENT: frozenset(),
}
CLAIMABLE = (State.PENDING, State.UNKNOWN)
WAITING = (State.PENDING, State.SENDING, State.UNKNOWN)
"""Those that may still reach somebody, or may have."""


class IllegalMove(Exception):
    """No message goes from the one state to the other: a fault of the program."""


def check_move(old: State, new: State, *, late: bool = False) -> None:
    """Raise IllegalMove for a move that is not in the table; to stay is always allowed.

    `late`: a worker that was given up reports that its request went through after all. That is
    the truth, whatever the message has come to meanwhile.
    """
    if late and new is State.SENT:
        return
    if new != old and new not in MOVES[State(old)]:
        raise IllegalMove(f"{old} -> {new}")
