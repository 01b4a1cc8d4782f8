"""The retry policy, as a table."""

from datetime import timedelta

import pytest

from dmtrigger.retry import MAX_ATTEMPTS, Kind, Outcome, Step, next_step
from dmtrigger.states import State

S = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("kind", "attempts", "was_unknown", "step"),
    [
        (Kind.SENT, 1, False, Step(State.SENT)),
        (Kind.SENT, 2, True, Step(State.SENT)),
        (Kind.REFUSED, 1, False, Step(State.FAILED)),
        (Kind.EXPIRED, 3, False, Step(State.EXPIRED)),
        (Kind.REPLY_USED, 1, False, Step(State.FAILED)),
        (Kind.REPLY_USED, 2, True, Step(State.SENT)),
        (Kind.UNKNOWN, 1, False, Step(State.UNKNOWN, 60 * S)),
        (Kind.UNKNOWN, 2, True, Step(State.UNKNOWN, None)),
        (Kind.NOT_DELIVERED, 1, False, Step(State.PENDING, 30 * S)),
        (Kind.NOT_DELIVERED, 2, False, Step(State.PENDING, 60 * S)),
        (Kind.NOT_DELIVERED, 4, False, Step(State.PENDING, 240 * S)),
        (Kind.NOT_DELIVERED, MAX_ATTEMPTS, False, Step(State.FAILED)),
        (Kind.NOT_DELIVERED, 2, True, Step(State.UNKNOWN, 60 * S)),
        (Kind.NOT_DELIVERED, MAX_ATTEMPTS, True, Step(State.UNKNOWN)),
        (Kind.THROTTLED, 1, False, Step(State.PENDING, 300 * S)),
        (Kind.THROTTLED, 50, False, Step(State.PENDING, 300 * S)),
        (Kind.THROTTLED, 2, True, Step(State.UNKNOWN, 300 * S)),
        (Kind.HELD, 50, False, Step(State.PENDING, 900 * S)),
    ],
)
def test_the_step_after_an_attempt(kind, attempts, was_unknown, step):
    assert next_step(Outcome(kind), attempts=attempts, was_unknown=was_unknown) == step


def test_the_pause_that_the_platform_asks_for_is_kept():
    outcome = Outcome(Kind.THROTTLED, retry_after=timedelta(minutes=17))
    step = next_step(outcome, attempts=1, was_unknown=False)
    assert step.delay == timedelta(minutes=17)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("attempts", [1, 4, 5, 99])
def test_an_unknown_outcome_never_becomes_a_plain_pending_one(kind, attempts):
    step = next_step(Outcome(kind), attempts=attempts, was_unknown=True)
    assert step.state is not State.PENDING
