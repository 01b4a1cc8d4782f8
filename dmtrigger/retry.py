"""What to do after an attempt: a pure function over the outcome. Knows no model and no platform."""

from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from dmtrigger.states import State


class Kind(StrEnum):
    """What an attempt came to, as far as the sender can tell."""

    SENT = "sent"
    NOT_DELIVERED = "not_delivered"  # for certain: the request never left, or was refused for now
    THROTTLED = "throttled"  # the platform wants a pause of the account
    RESTRICTED = "restricted"  # the account may not send until the platform lets it again
    NEEDS_ACTION = "needs_action"  # the account cannot send until somebody acts (token, permission)
    HELD = "held"  # this message cannot be sent for now, others can
    UNKNOWN = "unknown"  # it may or may not have been delivered
    REPLY_USED = "reply_used"  # the comment's one reply is used, or the comment is gone
    REFUSED = "refused"  # will never be taken
    EXPIRED = "expired"  # outside the platform's window


class Usage(NamedTuple):
    """How much of its limit an account has used, as the platform says it with an answer."""

    percent: float
    regain: timedelta | None = None
    """Until it may send again, where the platform says that."""


class Outcome(NamedTuple):
    """What a sender reports. `detail` is for people, `message_id` the platform's."""

    kind: Kind
    detail: str = ""
    message_id: str = ""
    usage: Usage | None = None


class Step(NamedTuple):
    """The state after an attempt, and when to try again (None: not by itself)."""

    state: State
    delay: timedelta | None = None


FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(hours=1)
ASK_AGAIN_AFTER = timedelta(minutes=1)
HOLD_PAUSE = timedelta(minutes=15)

REFUSALS = {
    Kind.REPLY_USED: State.FAILED,
    Kind.REFUSED: State.FAILED,
    Kind.EXPIRED: State.EXPIRED,
}
ACCOUNT_PAUSES = {
    Kind.THROTTLED: timedelta(minutes=5),
    Kind.RESTRICTED: timedelta(hours=1),
    Kind.NEEDS_ACTION: timedelta(minutes=15),
}
"""For how long the whole account waits, unless the platform says it; then it is tried again. The
message itself keeps its place and is due at once: it is the account that waits."""
GIVES_SLOT_BACK = frozenset(Kind) - {Kind.SENT, Kind.UNKNOWN}
"""Attempts that certainly reached nobody."""


def next_step(
    outcome: Outcome,
    *,
    attempts: int,
    was_unknown: bool,
    idempotent: bool,
    time_left: timedelta,
) -> Step:
    """The step after attempt number `attempts` (from 1), `time_left` before the window closes.

    `was_unknown`: an earlier attempt may have been delivered. Then this one was the question
    whether it was. That the comment's one reply is used is taken as a yes; no other refusal says
    anything of the earlier attempt, so it is left to an operator, and nothing is ever repeated
    blindly. An `idempotent` sender's unknown outcome is simply repeated: twice is once there.
    """
    kind = outcome.kind
    if kind is Kind.SENT or (kind is Kind.REPLY_USED and was_unknown):
        return Step(State.SENT)
    if kind is Kind.UNKNOWN and not idempotent:
        return Step(State.UNKNOWN, None if was_unknown else ASK_AGAIN_AFTER)
    in_doubt = was_unknown and not idempotent
    if kind in REFUSALS:
        return Step(State.UNKNOWN if in_doubt else REFUSALS[kind])
    delay = _delay(kind, attempts)
    if delay < time_left:
        return Step(State.UNKNOWN if in_doubt else State.PENDING, delay)
    return Step(State.UNKNOWN if in_doubt else State.EXPIRED)


def _delay(kind: Kind, attempts: int) -> timedelta:
    if kind in ACCOUNT_PAUSES:
        return timedelta(0)
    if kind is Kind.HELD:
        return HOLD_PAUSE
    # the bound keeps the number small; 2 ** 7 half minutes is over the longest delay already
    doublings: int = min(attempts - 1, 7)
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)
