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
    """What a sender reports. `detail` is for people; `retry_after` is the platform's own wish."""

    kind: Kind
    detail: str = ""
    message_id: str = ""
    retry_after: timedelta | None = None


class Step(NamedTuple):
    """The state after an attempt, and when to try again (None: not by itself)."""

    state: State
    delay: timedelta | None = None


MAX_ATTEMPTS = 5
FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(hours=1)
THROTTLE_PAUSE = timedelta(minutes=5)
HOLD_PAUSE = timedelta(minutes=15)
ASK_AGAIN_AFTER = timedelta(minutes=1)

FINAL = {
    Kind.SENT: State.SENT,
    Kind.REFUSED: State.FAILED,
    Kind.EXPIRED: State.EXPIRED,
}


def next_step(outcome: Outcome, *, attempts: int, was_unknown: bool) -> Step:
    """The step after attempt number `attempts` (from 1).

    `was_unknown`: the outcome of the attempt before was not known. Then this attempt was the
    question whether it had been delivered: "the one reply is used" proves that it was, and a
    second unknown outcome is an operator's to settle, never a blind resend.
    """
    kind = outcome.kind
    if kind in FINAL:
        return Step(FINAL[kind])
    if kind is Kind.REPLY_USED:
        return Step(State.SENT if was_unknown else State.FAILED)
    if kind is Kind.UNKNOWN:
        return Step(State.UNKNOWN, None if was_unknown else ASK_AGAIN_AFTER)
    waiting = State.UNKNOWN if was_unknown else State.PENDING
    if kind is Kind.THROTTLED:
        return Step(waiting, outcome.retry_after or THROTTLE_PAUSE)
    if kind is Kind.HELD:
        return Step(waiting, HOLD_PAUSE)
    return _after_failure(waiting, attempts)


def _after_failure(waiting: State, attempts: int) -> Step:
    if attempts < MAX_ATTEMPTS:
        return Step(waiting, min(FIRST_DELAY * 2 ** (attempts - 1), LONGEST_DELAY))
    return Step(State.UNKNOWN if waiting is State.UNKNOWN else State.FAILED)
