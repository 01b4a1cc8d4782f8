"""The policy, as a table: each rule refuses what it should, and nothing else does."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmtrigger.policy import (
    PERSON_MAY_OVERRIDE,
    Facts,
    Limits,
    Refused,
    Rule,
    binding,
    refusals,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = Limits(
    max_age=48 * HOUR, min_characters=10, cool_down=24 * HOUR, weekly=3, disclosure=("automated",)
)
FINE = Facts(
    author="ada",
    text="where can I get one of these?",
    posted_at=NOW - HOUR,
    is_own=False,
    foreign=False,
    opted_out=False,
    blocked=False,
    talking_with="",
    waiting=0,
    sent_at=(),
    message="Hi ada (automated)",
    max_bytes=1_000,
    window=timedelta(days=7),
)


def rules(facts: Facts, limits: Limits = LIMITS) -> list[Rule]:
    return [refused.rule for refused in refusals(facts, limits, NOW)]


def test_what_nothing_stands_against_is_not_refused():
    assert rules(FINE) == []


@pytest.mark.parametrize(
    ("changed", "rule", "reason"),
    [
        ({"is_own": True}, Rule.OWN_COMMENT, "ada is the account itself"),
        ({"blocked": True}, Rule.BLOCKED, "ada is blocked"),
        ({"opted_out": True}, Rule.OPTED_OUT, "ada wants no messages"),
        ({"talking_with": "olga"}, Rule.TALKING, "olga is talking to ada"),
        ({"posted_at": NOW - 48 * HOUR}, Rule.TOO_OLD, "the comment is 48 hours old"),
        ({"posted_at": NOW - 168 * HOUR}, Rule.WINDOW_CLOSED, "the comment is 7 days old"),
        ({"text": "ooh nice"}, Rule.TOO_SHORT, "the comment has 8 characters"),
        ({"text": "   wow     "}, Rule.TOO_SHORT, "the comment has 3 characters"),
        ({"foreign": True}, Rule.LANGUAGE, "the comment is in another language"),
        ({"waiting": 1}, Rule.COOL_DOWN, "a message to ada waits to be sent"),
        (
            {"sent_at": (NOW - 23 * HOUR,)},
            Rule.COOL_DOWN,
            "a message to ada was sent at 2026-05-31 13:00",
        ),
        (
            {"sent_at": (NOW - 25 * HOUR, NOW - 50 * HOUR, NOW - 167 * HOUR)},
            Rule.WEEKLY_CAP,
            "3 messages to ada in seven days",
        ),
        (
            {"message": "automated" + "ä" * 496},
            Rule.TOO_LONG,
            "the message has 1001 bytes, the platform takes 1000",
        ),
        ({"message": "Hi ada"}, Rule.NO_DISCLOSURE, "the message has none of: automated"),
    ],
)
def test_each_rule_refuses_by_itself_and_says_why(changed, rule, reason):
    assert refusals(FINE._replace(**changed), LIMITS, NOW) == [Refused(rule, reason)]


@pytest.mark.parametrize(
    "changed",
    [
        {"posted_at": NOW - 48 * HOUR + timedelta(seconds=1)},
        {"text": "price?"},
        {"text": "link pls"},
        {"text": "Link"},
        {"text": "how much"},
        {"text": "🛒"},
        {"text": "need 😍"},
        {"sent_at": (NOW - 24 * HOUR,)},
        {"sent_at": (NOW - 25 * HOUR, NOW - 50 * HOUR, NOW - 168 * HOUR)},
        {"message": "AUTOMATED" + "ä" * 495},
    ],
)
def test_what_just_keeps_to_a_rule_is_not_refused(changed):
    assert rules(FINE._replace(**changed)) == []


def test_what_is_not_asked_for_is_not_checked():
    limits = LIMITS._replace(disclosure=(), min_characters=0, cool_down=timedelta(0))
    facts = FINE._replace(message="Hi", text="!", sent_at=(NOW,))
    assert rules(facts, limits) == []


@pytest.mark.parametrize("rule", Rule)
def test_an_operator_may_set_aside_only_what_keeps_the_program_from_deciding(rule):
    found = [Refused(rule, "why")]
    assert binding(found, by_person=False) == found
    assert binding(found, by_person=True) == ([] if rule in PERSON_MAY_OVERRIDE else found)


def test_people_s_wishes_bind_operators_too():
    wishes = {Rule.OPTED_OUT, Rule.BLOCKED, Rule.OWN_COMMENT, Rule.TALKING, Rule.COOL_DOWN}
    assert not wishes & PERSON_MAY_OVERRIDE


hours = st.integers(0, 24 * 10).map(lambda hour: NOW - hour * HOUR)


@given(st.lists(hours, max_size=6), st.integers(0, 3), st.integers(1, 5), st.integers(0, 72))
def test_caps_hold_by_recount(sent, waiting, weekly, cool_down):
    limits = LIMITS._replace(weekly=weekly, cool_down=cool_down * HOUR)
    found = rules(FINE._replace(sent_at=tuple(sent), waiting=waiting), limits)
    in_week = sum(NOW - at < timedelta(days=7) for at in sent) + waiting
    in_cool_down = sum(NOW - at < cool_down * HOUR for at in sent) + waiting
    assert (Rule.WEEKLY_CAP in found) == (in_week >= weekly)
    assert (Rule.COOL_DOWN in found) == (in_cool_down > 0)
