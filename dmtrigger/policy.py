"""May this person get this message now? A pure function over facts; knows no model and no clock.

The rules are the spec's and the platforms'. `dmtrigger.people` and `dmtrigger.campaigns` gather
the facts, `dmtrigger.refusals` keeps what is refused.
"""

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import TextChoices


class Rule(TextChoices):
    """Why a message is not sent."""

    OPTED_OUT = "opted_out", "the person opted out"
    BLOCKED = "blocked", "an operator blocked the person"
    OWN_COMMENT = "own_comment", "the comment is the brand's own"
    TALKING = "talking", "an operator is talking to the person"
    TOO_OLD = "too_old", "the comment is too old"
    WINDOW_CLOSED = "window_closed", "the platform takes no answer to it any more"
    TOO_SHORT = "too_short", "the comment is too short to say what is wanted"
    LANGUAGE = "language", "the model does not speak the comment's language"
    COOL_DOWN = "cool_down", "the person was written to a short while ago"
    WEEKLY_CAP = "weekly_cap", "the person was written to often this week"
    TOO_LONG = "too_long", "the message is too long for the platform"
    NO_DISCLOSURE = "no_disclosure", "the message does not say that it is automated"


PERSON_MAY_OVERRIDE = frozenset({Rule.TOO_OLD, Rule.TOO_SHORT, Rule.LANGUAGE})
"""What only keeps the program from deciding by itself; an operator who approves knows better."""

# A comment this short can still say all there is to say.
PLAIN_WISH = re.compile(
    r"\b(?:price|prices|cost|costs|link|links|pp|how much|hm|dm|buy|order|available|stock|need)\b"
    r"|[$€£₹]|🛒|🛍",
    re.IGNORECASE,
)


class Limits(NamedTuple):
    """What is configured."""

    max_age: timedelta
    """Of a comment that is answered without an operator."""
    min_characters: int
    cool_down: timedelta
    """Between two messages to a person."""
    weekly: int
    """Messages to a person in seven days."""
    disclosure: tuple[str, ...]
    """The message must have one of these, in any case; empty: it need not."""


class Facts(NamedTuple):
    """What is known of the person, the comment and the message."""

    author: str
    text: str
    """The comment's."""
    posted_at: datetime
    is_own: bool
    foreign: bool
    """Whether the analysis held the comment for its language."""
    opted_out: bool
    """Also when an opt-out has an end that lies ahead of `now`."""
    blocked: bool
    talking_with: str
    """The operator who talks to the person, or empty."""
    waiting: int
    """Messages to the person that still may leave, or may have left."""
    sent_at: tuple[datetime, ...]
    """Messages to the person that left, of seven days at least."""
    message: str
    max_bytes: int
    window: timedelta
    """The platform's."""


class Refused(NamedTuple):
    """A rule that forbids a message, and why, for people."""

    rule: Rule
    reason: str


WEEK = timedelta(days=7)


def refusals(facts: Facts, limits: Limits, now: datetime) -> list[Refused]:
    """Every rule that forbids the message now; none: it may be sent."""
    return [
        *_of_the_person(facts, limits, now),
        *_of_the_comment(facts, limits, now),
        *of_the_message(facts.message, facts.max_bytes, limits),
    ]


def binding(found: list[Refused], *, by_person: bool) -> list[Refused]:
    """Those that hold: an operator may set some aside."""
    return [r for r in found if not (by_person and r.rule in PERSON_MAY_OVERRIDE)]


def of_the_wishes(name: str, *, blocked: bool, opted_out: bool, talking_with: str) -> list[Refused]:
    """What is asked again when an approved message is about to leave: it can have changed."""
    found = []
    if blocked:
        found.append(Refused(Rule.BLOCKED, f"{name} is blocked"))
    if opted_out:
        found.append(Refused(Rule.OPTED_OUT, f"{name} wants no messages"))
    if talking_with:
        found.append(Refused(Rule.TALKING, f"{talking_with} is talking to {name}"))
    return found


def _of_the_person(facts: Facts, limits: Limits, now: datetime) -> list[Refused]:
    found = []
    if facts.is_own:
        found.append(Refused(Rule.OWN_COMMENT, f"{facts.author} is the account itself"))
    found += of_the_wishes(
        facts.author,
        blocked=facts.blocked,
        opted_out=facts.opted_out,
        talking_with=facts.talking_with,
    )
    last = max(facts.sent_at, default=None)
    if facts.waiting or (last is not None and now - last < limits.cool_down):
        when = "waits to be sent" if facts.waiting else f"was sent at {last:%Y-%m-%d %H:%M}"
        found.append(Refused(Rule.COOL_DOWN, f"a message to {facts.author} {when}"))
    week = facts.waiting + sum(now - sent < WEEK for sent in facts.sent_at)
    if week >= limits.weekly:
        found.append(Refused(Rule.WEEKLY_CAP, f"{week} messages to {facts.author} in seven days"))
    return found


def _of_the_comment(facts: Facts, limits: Limits, now: datetime) -> list[Refused]:
    found = []
    age = now - facts.posted_at
    if age >= facts.window:
        found.append(Refused(Rule.WINDOW_CLOSED, f"the comment is {_length(age)} old"))
    elif age >= limits.max_age:
        found.append(Refused(Rule.TOO_OLD, f"the comment is {_length(age)} old"))
    characters = len(facts.text.strip())
    if characters < limits.min_characters and not PLAIN_WISH.search(facts.text):
        found.append(Refused(Rule.TOO_SHORT, f"the comment has {characters} characters"))
    if facts.foreign:
        found.append(Refused(Rule.LANGUAGE, "the comment is in another language"))
    return found


def of_the_message(message: str, max_bytes: int, limits: Limits) -> list[Refused]:
    """Those of the rules that the message alone can break."""
    found = []
    size = len(message.encode())
    if size > max_bytes:
        reason = f"the message has {size} bytes, the platform takes {max_bytes}"
        found.append(Refused(Rule.TOO_LONG, reason))
    said = message.casefold()
    if limits.disclosure and not any(word.casefold() in said for word in limits.disclosure):
        reason = f"the message has none of: {', '.join(limits.disclosure)}"
        found.append(Refused(Rule.NO_DISCLOSURE, reason))
    return found


def _length(age: timedelta) -> str:
    hours = int(age.total_seconds() // 3600)
    return f"{hours} hours" if hours < 72 else f"{hours // 24} days"
