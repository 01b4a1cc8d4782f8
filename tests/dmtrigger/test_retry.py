"""The retry policy, as a table."""

from datetime import timedelta

import pytest

from dmtrigger.retry import LONGEST_DELAY, Kind, Outcome, Step, next_step
from dmtrigger.states import State

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


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
        (Kind.THROTTLED, 1, False, Step(State.PENDING, 300 * SECOND)),
        (Kind.THROTTLED, 50, False, Step(State.PENDING, 300 * SECOND)),
        (Kind.THROTTLED, 2, True, Step(State.UNKNOWN, 300 * SECOND)),
        (Kind.HELD, 50, False, Step(State.PENDING, 900 * SECOND)),
    ],
)
def test_the_step_after_an_attempt(kind, attempts, was_unknown, step):
    outcome = Outcome(kind)
    given = next_step(outcome, attempts=attempts, was_unknown=was_unknown, time_left=DAY)
    assert given == step


@pytest.mark.parametrize("kind", [Kind.NOT_DELIVERED, Kind.THROTTLED, Kind.HELD])
@pytest.mark.parametrize(("was_unknown", "state"), [(False, State.EXPIRED), (True, State.UNKNOWN)])
def test_what_would_be_too_late_is_not_tried_again(kind, was_unknown, state):
    soon = 10 * SECOND
    step = next_step(Outcome(kind), attempts=1, was_unknown=was_unknown, time_left=soon)
    assert step == Step(state)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("attempts", [1, 4, 5, 99])
def test_what_may_have_been_delivered_is_never_simply_sent_again(kind, attempts):
    step = next_step(Outcome(kind), attempts=attempts, was_unknown=True, time_left=DAY)
    assert step.state in {State.SENT, State.UNKNOWN}
