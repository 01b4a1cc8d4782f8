"""What the outbox says, set beside the platform's ledger. Pure: knows no model and no file."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tests.chaos.faults import MARK

FINAL = frozenset({"sent", "failed", "expired", "cancelled", "suppressed"})
IN_DOUBT = "unknown"
REPLY_USED = "reply_used"
SHOWN = 10  # violations of a kind that are named one by one


class Attempt(NamedTuple):
    """One call of the sender, as the outbox has noted it; an empty outcome: not noted yet."""

    outcome: str
    detail: str


class Message(NamedTuple):
    """One message of the outbox, its attempts in order."""

    comment: str
    """The comment's id on the platform."""
    state: str
    waits_for_operator: bool
    """Whether it is not tried again by itself."""
    last_error: str
    history: Sequence[str]
    """The states that it came to, in order."""
    attempts: Sequence[Attempt]

    @property
    def was_in_doubt(self) -> bool:
        return IN_DOUBT in self.history


class Verdict(NamedTuple):
    """What is wrong, in sentences, and what is to be told besides."""

    violations: list[str]
    states: dict[str, int]
    attempts: dict[str, int]
    """By outcome."""
    taken_at_its_word: int
    """Sent because the platform said, falsely, that the reply is used: it is not in the ledger."""
    doubts: int
    """Messages whose outcome was unknown at some time."""
    doubts_settled: int
    """Those that came to a final state by themselves."""
    waiting_for_operator: int


def check(approved: Sequence[str], messages: Sequence[Message], ledger: Sequence[str]) -> Verdict:
    """Compare what was approved, the outbox and the ledger: the platform's ids of the comments."""
    found = _Found()
    delivered = set(ledger)
    for comment, count in Counter(ledger).items():
        if count > 1:
            found.add("answered more than once", f"{comment} ({count} times)")
    known = {message.comment for message in messages}
    for comment in sorted(set(approved) - known):
        found.add("approved, and no message", comment)
    for comment in sorted(delivered - known):
        found.add("in the ledger, and no message", comment)
    taken_at_its_word = 0
    for message in messages:
        _look(message, message.comment in delivered, found)
        if message.state == "sent" and message.comment not in delivered:
            if _was_told_so(message):
                taken_at_its_word += 1
            else:
                found.add("sent, and not in the ledger", message.comment)
    doubtful = [message for message in messages if message.was_in_doubt]
    return Verdict(
        violations=found.lines(),
        states=dict(Counter(message.state for message in messages)),
        attempts=dict(Counter(a.outcome for message in messages for a in message.attempts)),
        taken_at_its_word=taken_at_its_word,
        doubts=len(doubtful),
        doubts_settled=sum(message.state in FINAL for message in doubtful),
        waiting_for_operator=sum(message.state == IN_DOUBT for message in messages),
    )


class _Found:
    """Violations by kind."""

    def __init__(self) -> None:
        self.by_kind: dict[str, list[str]] = {}

    def add(self, kind: str, what: str) -> None:
        self.by_kind.setdefault(kind, []).append(what)

    def lines(self) -> list[str]:
        lines = []
        for kind, whats in self.by_kind.items():
            rest = f" and {len(whats) - SHOWN} more" if len(whats) > SHOWN else ""
            lines.append(f"{kind}: {len(whats)}: {', '.join(whats[:SHOWN])}{rest}")
        return lines


def _look(message: Message, is_delivered: bool, found: _Found) -> None:
    """What must hold of a message by itself, when everything has come to rest."""
    name = f"{message.comment} ({message.state})"
    if message.state not in FINAL and message.state != IN_DOUBT:
        found.add("neither final nor in doubt", name)
    if message.state == IN_DOUBT and not message.waits_for_operator:
        found.add("in doubt, and not asked any more", name)
    if is_delivered and message.state not in ("sent", IN_DOUBT):
        found.add("in the ledger, and not sent here", name)
    if message.state not in ("sent", "cancelled") and not message.last_error:
        found.add("ended without a reason", name)
    if not message.history or message.history[-1] != message.state:
        found.add("its history ends otherwise", name)
    if "sending" in message.history[_first(message.history, "sent") :]:
        found.add("tried again after it was sent", name)
    outcomes = [attempt.outcome for attempt in message.attempts]
    if "" in outcomes:
        found.add("an attempt without an outcome", name)
    if outcomes.count(IN_DOUBT) > 2:
        found.add("asked more than once after a doubt", name)
    if _repeated_blindly(message):
        found.add("sent again without a doubt", name)


def _first(history: Sequence[str], state: str) -> int:
    return history.index(state) if state in history else len(history)


def _repeated_blindly(message: Message) -> bool:
    """Whether the platform had to refuse a second message that we had no reason to try.

    The ledger alone could not tell: the platform takes one reply a comment. That a reply is used
    must only ever be the answer to a question, unless the platform made it up.
    """
    was_refused = any(a.outcome == REPLY_USED and MARK not in a.detail for a in message.attempts)
    return was_refused and not message.was_in_doubt


def _was_told_so(message: Message) -> bool:
    last = message.attempts[-1] if message.attempts else Attempt("", "")
    return message.was_in_doubt and last.outcome == REPLY_USED and MARK in last.detail
