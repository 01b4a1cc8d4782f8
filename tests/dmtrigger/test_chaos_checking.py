"""The chaos run's checks find what they are there for."""

import random

import pytest

from tests.chaos import faults
from tests.chaos.checking import Attempt, Message, check
from tests.chaos.faults import MARK
from tests.chaos.plan import Blow, make_plan

SENT = Message("c1", "sent", True, "", ("pending", "sending", "sent"), (Attempt("sent", ""),))
ASKED = ("pending", "sending", "unknown", "sending", "sent")


def violations(*messages: Message, approved=("c1",), ledger=("c1",)) -> list[str]:
    return [
        line.partition(":")[0] for line in check(list(approved), messages, list(ledger)).violations
    ]


def test_a_message_that_was_approved_sent_and_delivered_is_right():
    assert violations(SENT) == []


def test_a_comment_that_was_answered_twice_is_found():
    assert violations(SENT, ledger=("c1", "c2", "c1"), approved=("c1",)) == [
        "answered more than once",
        "in the ledger, and no message",
    ]


def test_an_approval_without_a_message_is_found():
    assert violations(SENT, approved=("c1", "c2")) == ["approved, and no message"]


def test_what_is_said_to_be_sent_and_is_not_is_found():
    assert violations(SENT, ledger=()) == ["sent, and not in the ledger"]


@pytest.mark.parametrize("state", ["failed", "expired", "cancelled", "suppressed"])
def test_what_was_delivered_and_is_said_not_to_be_is_found(state):
    changed = SENT._replace(state=state, last_error="no", history=("pending", state))
    assert violations(changed) == ["in the ledger, and not sent here"]


@pytest.mark.parametrize("state", ["pending", "sending"])
def test_what_was_left_lying_is_found(state):
    left = SENT._replace(state=state, last_error="no", history=("pending", state), attempts=())
    assert violations(left, ledger=()) == ["neither final nor in doubt"]


def test_a_doubt_may_wait_for_an_operator_but_for_nothing_else():
    doubt = SENT._replace(state="unknown", last_error="lost", history=ASKED[:3])
    assert violations(doubt) == []
    assert violations(doubt._replace(waits_for_operator=False)) == [
        "in doubt, and not asked any more"
    ]


def test_a_second_attempt_without_a_doubt_is_found_though_the_platform_refused_it():
    again = (Attempt("not_delivered", "away"), Attempt("reply_used", "HTTP 400"))
    failed = SENT._replace(state="failed", last_error="HTTP 400", attempts=again)
    failed = failed._replace(history=("pending", "sending", "pending", "sending", "failed"))
    assert "sent again without a doubt" in violations(failed)
    asked = SENT._replace(
        history=ASKED, attempts=(Attempt("unknown", "lost"), Attempt("reply_used", "HTTP 400"))
    )
    assert violations(asked) == []


def test_a_platform_that_says_falsely_that_a_reply_is_used_is_believed_and_counted():
    told = (Attempt("unknown", "lost"), Attempt("reply_used", f"HTTP 400 {MARK}"))
    verdict = check(["c1"], [SENT._replace(history=ASKED, attempts=told)], [])
    assert (verdict.violations, verdict.taken_at_its_word) == ([], 1)


def test_what_is_tried_again_after_it_was_sent_is_found():
    history = (*SENT.history, "sending", "sent")
    assert violations(SENT._replace(history=history)) == ["tried again after it was sent"]


def test_an_end_without_a_reason_and_an_attempt_without_an_outcome_are_found():
    failed = SENT._replace(state="failed", history=("pending", "sending", "failed"))
    failed = failed._replace(attempts=(Attempt("", ""),))
    assert violations(failed, ledger=()) == [
        "ended without a reason",
        "an attempt without an outcome",
    ]


def test_a_doubt_that_is_asked_again_and_again_is_found():
    thrice = SENT._replace(attempts=(Attempt("unknown", ""),) * 3, history=ASKED)
    assert violations(thrice) == ["asked more than once after a doubt"]


def deck(seed: int) -> list[faults.Fault]:
    return faults.deck(random.Random(seed), patient=True)  # noqa: S311 - no secret


def test_a_seed_fixes_the_plan_and_the_faults():
    assert make_plan(5, 60) == make_plan(5, 60) != make_plan(6, 60)
    assert {step.blow for step in make_plan(5, 1)} == set(Blow)
    decks = [deck(seed) for seed in (5, 5, 6)]
    assert decks[0] == decks[1] != decks[2]


def test_only_what_nobody_can_know_hides_a_delivery():
    for fault in deck(5):
        if fault["after_delivery"] and "error" in fault:
            assert fault["error"]["status"] >= 500
