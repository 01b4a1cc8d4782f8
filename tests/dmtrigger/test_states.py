"""The table of states, and the picture of it in the docs."""

import re
from pathlib import Path

import pytest

from dmtrigger.states import MOVES, IllegalMove, State, check_move

PICTURE = Path(__file__).parents[2] / "docs" / "messages.md"
FINAL = {State.SENT, State.FAILED, State.EXPIRED, State.SUPPRESSED}


def test_every_state_has_its_moves():
    assert set(MOVES) == set(State)


@pytest.mark.parametrize("state", FINAL)
def test_what_is_final_stays(state):
    assert not MOVES[state]


def test_a_move_that_there_is_not_is_a_fault():
    with pytest.raises(IllegalMove, match="sent -> sending"):
        check_move(State.SENT, State.SENDING)


@pytest.mark.parametrize("state", State)
def test_a_late_report_of_a_delivery_is_the_truth_in_any_state(state):
    check_move(state, State.SENT, late=True)


def test_the_picture_in_the_docs_shows_these_moves():
    drawn = re.findall(r"^\s*(\w+) --> (\w+)", PICTURE.read_text(), re.MULTILINE)
    assert set(drawn) == {(old.value, new.value) for old, news in MOVES.items() for new in news}
