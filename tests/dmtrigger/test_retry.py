"""The retry policy, as a table."""

from datetime import timedelta

import pytest

from dmtrigger.retry import (
    GIVES_SLOT_BACK,
    LONGEST_DELAY,
    Kind,
    Outcome,
    Step,
    next_step,
)
from dmtrigger.states import MOVES, State

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def after(
    outcome: Outcome,
    attempts: int,
    *,
    was_unknown: bool,
    idempotent: bool = False,
    time_left: timedelta = DAY,
) -> Step:
    return next_step(
        outcome,
        attempts=attempts,
        was_unknown=was_unknown,
        idempotent=idempotent,
        time_left=time_left,
    )


@pytest.mark.parametrize(
    ("kind", "attempts", "was_unknown", "step"),
    [
        (Kind.SENT, 1, False, Step(State.SENT)),
        (Kind.SENT, 2, True, Step(State.SENT)),
        (Kind.REFUSED, 1, False, Step(State.FAILED)),
        (Kind.REFUSED, 2, True, Step(State.UNKNOWN)),
        (Kind.EXPIRED, 3, False, Step(State.EXPIRED)),
        (Kind.EXPIRED, 3, True, Step(State.UNKNOWN)),
        (Kind.REPLY_USED, 1, False, Step(State.FAILED)),
        (Kind.REPLY_USED, 2, True, Step(State.SENT)),
        (Kind.UNKNOWN, 1, False, Step(State.UNKNOWN, 60 * SECOND)),
        (Kind.UNKNOWN, 2, True, Step(State.UNKNOWN)),
        (Kind.NOT_DELIVERED, 1, False, Step(State.PENDING, 30 * SECOND)),
        (Kind.NOT_DELIVERED, 2, False, Step(State.PENDING, 60 * SECOND)),
        (Kind.NOT_DELIVERED, 4, False, Step(State.PENDING, 240 * SECOND)),
        (Kind.NOT_DELIVERED, 8, False, Step(State.PENDING, LONGEST_DELAY)),
        (Kind.NOT_DELIVERED, 30_000, False, Step(State.PENDING, LONGEST_DELAY)),
        (Kind.NOT_DELIVERED, 2, True, Step(State.UNKNOWN, 60 * SECOND)),
        (Kind.THROTTLED, 1, False, Step(State.PENDING, 0 * SECOND)),
        (Kind.THROTTLED, 2, True, Step(State.UNKNOWN, 0 * SECOND)),
        (Kind.RESTRICTED, 50, False, Step(State.PENDING, 0 * SECOND)),
        (Kind.NEEDS_ACTION, 3, False, Step(State.PENDING, 0 * SECOND)),
        (Kind.HELD, 50, False, Step(State.PENDING, 900 * SECOND)),
    ],
)
def test_the_step_after_an_attempt(kind, attempts, was_unknown, step):
    outcome = Outcome(kind)
    assert after(outcome, attempts, was_unknown=was_unknown) == step


@pytest.mark.parametrize("kind", [Kind.NOT_DELIVERED, Kind.HELD])
@pytest.mark.parametrize(("was_unknown", "state"), [(False, State.EXPIRED), (True, State.UNKNOWN)])
def test_what_would_be_too_late_is_not_tried_again(kind, was_unknown, state):
    soon = 10 * SECOND
    assert after(Outcome(kind), 1, was_unknown=was_unknown, time_left=soon) == Step(state)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("attempts", [1, 4, 5, 99])
def test_what_may_have_been_delivered_is_never_simply_sent_again(kind, attempts):
    step = after(Outcome(kind), attempts, was_unknown=True)
    assert step.state in {State.SENT, State.UNKNOWN}


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        (Kind.UNKNOWN, Step(State.PENDING, 120 * SECOND)),
        (Kind.NOT_DELIVERED, Step(State.PENDING, 120 * SECOND)),
        (Kind.REFUSED, Step(State.FAILED)),
        (Kind.SENT, Step(State.SENT)),
    ],
)
def test_where_twice_is_once_a_lost_answer_is_simply_asked_for_again(kind, step):
    assert after(Outcome(kind), 3, was_unknown=True, idempotent=True) == step


def test_only_what_certainly_reached_nobody_gives_its_slot_back():
    assert set(Kind) - GIVES_SLOT_BACK == {Kind.SENT, Kind.UNKNOWN}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("was_unknown", [False, True])
@pytest.mark.parametrize("idempotent", [False, True])
def test_every_step_is_a_move_that_there_is(kind, was_unknown, idempotent):
    for left in (10 * SECOND, DAY):
        step = after(
            Outcome(kind), 1, was_unknown=was_unknown, idempotent=idempotent, time_left=left
        )
        assert step.state in MOVES[State.SENDING]
