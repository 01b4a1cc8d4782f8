"""What to do after an attempt: a pure function over the outcome. Knows no model and no platform."""

from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from dmtrigger.states import State


class Kind(StrEnum):
    """What an attempt came to, as far as the sender can tell."""

    SENT = "sent"
    NOT_DELIVERED = "not_delivered"  # for certain: the request never left, or was refused for now
    THROTTLED = "throttled"  # the platform wants a pause; the message keeps its place
    HELD = "held"  # the account cannot send until somebody acts (token, permission, restriction)
    UNKNOWN = "unknown"  # it may or may not have been delivered
    REPLY_USED = "reply_used"  # the comment's one private reply is used, or the comment is gone
    REFUSED = "refused"  # will never be taken
    EXPIRED = "expired"  # outside the platform's window


class Outcome(NamedTuple):
    """What a sender reports. `detail` is for people, `message_id` the platform's."""

    kind: Kind
    detail: str = ""
    message_id: str = ""


class Step(NamedTuple):
    """The state after an attempt, and when to try again (None: not by itself)."""

    state: State
    delay: timedelta | None = None


FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(hours=1)
THROTTLE_PAUSE = timedelta(minutes=5)
HOLD_PAUSE = timedelta(minutes=15)
ASK_AGAIN_AFTER = timedelta(minutes=1)

REFUSALS = {
    Kind.REPLY_USED: State.FAILED,
    Kind.REFUSED: State.FAILED,
    Kind.EXPIRED: State.EXPIRED,
}
PAUSES = {Kind.THROTTLED: THROTTLE_PAUSE, Kind.HELD: HOLD_PAUSE}


def next_step(outcome: Outcome, *, attempts: int, was_unknown: bool, time_left: timedelta) -> Step:
    """The step after attempt number `attempts` (from 1), `time_left` before the window closes.

    `was_unknown`: an earlier attempt may have been delivered. Then this one was the question
    whether it was. That the comment's one reply is used is taken as a yes; no other refusal says
    anything of the earlier attempt, so it is left to an operator, and nothing is ever repeated
    blindly.
    """
    kind = outcome.kind
    if kind is Kind.SENT or (kind is Kind.REPLY_USED and was_unknown):
        return Step(State.SENT)
    if kind in REFUSALS:
        return Step(State.UNKNOWN if was_unknown else REFUSALS[kind])
    if kind is Kind.UNKNOWN:
        return Step(State.UNKNOWN, None if was_unknown else ASK_AGAIN_AFTER)
    delay = PAUSES.get(kind) or _backoff(attempts)
    if delay < time_left:
        return Step(State.UNKNOWN if was_unknown else State.PENDING, delay)
    return Step(State.UNKNOWN if was_unknown else State.EXPIRED)


def _backoff(attempts: int) -> timedelta:
    # the bound keeps the number small; 2 ** 7 half minutes is over the longest delay already
    doublings: int = min(attempts - 1, 7)
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)
