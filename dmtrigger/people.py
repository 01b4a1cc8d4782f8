"""The people who are written to: opt-outs, blocks, talks, and how often they heard of us.

The only writer of `Person`.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from dmtrigger import audit
from dmtrigger.models import DirectMessage, Person
from dmtrigger.policy import WEEK
from dmtrigger.states import WAITING, State

STOP_WORDS = frozenset(
    {
        "stop",
        "unsubscribe",
        "cancel",
        "optout",
        "opt out",
        "stopp",
        "arret",
        "arrêt",
        "alto",
        "baja",
    }
)
LONGEST_STOP = 30  # characters; in a longer answer the word may mean anything


class Contact(NamedTuple):
    """What the policy asks of a person."""

    opted_out: bool
    blocked: bool
    talking_with: str
    waiting: int
    sent_at: tuple[datetime, ...]


def lock(source: str, name: str) -> None:
    """Until the transaction ends nobody else decides about a message to this person.

    So two approvals at once cannot both find the cap unreached. Most people have no row that
    could be locked.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"person {source} {name}"]
        )


def contact(
    source: str, name: str, now: datetime, *, besides: DirectMessage | None = None
) -> Contact:
    """What is known of a person; `besides` is a message that does not count against itself."""
    person = Person.objects.select_related("talking_with").filter(source=source, name=name).first()
    messages = DirectMessage.objects.filter(recipient=name, source=source)
    if besides is not None:
        messages = messages.exclude(pk=besides.pk)
    sent = messages.filter(state=State.SENT, sent_at__gt=now - WEEK)
    times = (at for at in sent.values_list("sent_at", flat=True) if at is not None)
    return Contact(
        opted_out=person is not None and is_opted_out(person, now),
        blocked=person is not None and person.blocked_at is not None,
        talking_with=_talking_with(person, now),
        waiting=messages.filter(state__in=WAITING).count(),
        sent_at=tuple(times),
    )


def is_opted_out(person: Person, now: datetime) -> bool:
    """Whether the person wants no messages at this moment."""
    if person.opted_out_at is None:
        return False
    return person.opted_out_until is None or person.opted_out_until > now


@transaction.atomic
def opt_out(
    source: str, name: str, by: Person.By, *, days: int | None = None, actor: str = ""
) -> Person:
    """The person wants no messages, for so many days or (None) for good.

    An opt-out is never shortened: who said "for good" before has said so still.
    """
    now = timezone.now()
    until = None if days is None else now + timedelta(days=days)
    person = _locked(source, name)
    if is_opted_out(person, now) and until is not None:
        standing = person.opted_out_until
        until = None if standing is None else max(until, standing)
    person.opted_out_at, person.opted_out_until, person.opted_out_by = now, until, by
    person.save()
    audit.record(actor or name, "opt out", str(person), by=by, days=days)
    return person


@transaction.atomic
def opt_in(person_id: int, actor: str) -> None:
    """Take an opt-out back, which the person has asked an operator for."""
    person = Person.objects.select_for_update().get(pk=person_id)
    person.opted_out_at, person.opted_out_until, person.opted_out_by = None, None, ""
    person.save()
    audit.record(actor, "opt in", str(person))


@transaction.atomic
def block(source: str, name: str, actor: str, reason: str = "") -> Person:
    """Write to this person no more, whatever they say."""
    person = _locked(source, name)
    person.blocked_at, person.block_reason = timezone.now(), reason
    person.save()
    audit.record(actor, "block", str(person), reason=reason)
    return person


@transaction.atomic
def unblock(person_id: int, actor: str) -> None:
    """End a block."""
    person = Person.objects.select_for_update().get(pk=person_id)
    person.blocked_at, person.block_reason = None, ""
    person.save()
    audit.record(actor, "unblock", str(person))


@transaction.atomic
def take_over(source: str, name: str, user_id: int, actor: str, hours: int = 72) -> Person:
    """An operator talks to the person by hand: no automatic message for so long."""
    person = _locked(source, name)
    person.talking_with_id = user_id
    person.talking_until = timezone.now() + timedelta(hours=hours)
    person.save()
    audit.record(actor, "take over", str(person), hours=hours)
    return person


@transaction.atomic
def hand_back(person_id: int, actor: str) -> None:
    """The operator's talk with the person is over."""
    person = Person.objects.select_for_update().get(pk=person_id)
    person.talking_with, person.talking_until = None, None
    person.save()
    audit.record(actor, "hand back", str(person))


@transaction.atomic
def wrote(source: str, name: str, text: str, at: datetime) -> bool:
    """The person has sent us a private message; whether it says STOP, which is obeyed at once."""
    person = _locked(source, name)
    if person.last_wrote_at is None or at > person.last_wrote_at:
        person.last_wrote_at = at
        person.save()
    if not says_stop(text):
        return False
    # Platforms tell a message more than once: who is out for good stays so, and that is all.
    if not is_opted_out(person, timezone.now()) or person.opted_out_until is not None:
        opt_out(source, name, Person.By.REPLY)
    return True


def says_stop(text: str) -> bool:
    """Whether an answer asks for no more messages: one of the stop words, alone or at its start."""
    words = " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())
    if len(words) > LONGEST_STOP:
        return False
    return words in STOP_WORDS or words.split(" ")[0] in {"stop", "unsubscribe"}


def _locked(source: str, name: str) -> Person:
    Person.objects.get_or_create(source=source, name=name)
    return Person.objects.select_for_update().get(source=source, name=name)


def _talking_with(person: Person | None, now: datetime) -> str:
    if person is None or person.talking_until is None or person.talking_until <= now:
        return ""
    return str(person.talking_with or "somebody")
