"""The people who are written to: opt-outs, blocks, talks, and how often they heard of us.

The only writer of `Person`. Where no name may stand, in the audit log and after an erasure, a
person has a pseudonym: an HMAC of the name. Nobody can turn it round, and who has both the key and
the name can find it. So the wish of a person who was erased holds when they come back.
"""

import hmac
import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
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
ERASED = re.compile(r"erased-([0-9a-f]{16})")
"""What stands in place of the name of a person who was erased."""


Who = tuple[str, str]
"""A person: the source, and their name there."""


class Contact(NamedTuple):
    """What the policy asks of a person."""

    opted_out: bool
    blocked: bool
    talking_with: str
    waiting: int
    sent_at: tuple[datetime, ...]


def pseudonym(source: str, name: str) -> str:
    """16 hex digits that stand for a person; of an erased name those that are in it."""
    erased = ERASED.fullmatch(name)
    return erased[1] if erased else _digest(settings.SECRET_KEY, source, name)


def pseudonyms(source: str, name: str) -> list[str]:
    """The same with each key there was: what was written with a former one is found too."""
    keys = settings.SECRET_KEY_FALLBACKS
    return [pseudonym(source, name), *(_digest(key, source, name) for key in keys)]


def erased_name(source: str, name: str) -> str:
    """What stands in place of the name after an erasure."""
    return f"erased-{pseudonym(source, name)}"


def known_as(source: str, name: str) -> list[str]:
    """The names under which something of this person can be stored: their own, and erased ones."""
    erased = (f"erased-{found}" for found in pseudonyms(source, name))
    return list(dict.fromkeys([name, *erased]))


def in_audit(source: str, name: str) -> str:
    """How the audit log calls a person."""
    return f"person {pseudonym(source, name)}"


def _digest(key: str, source: str, name: str) -> str:
    said = f"{source}\0{name}".encode()
    return hmac.digest(b"dmtrigger.people " + key.encode(), said, "sha256")[:8].hex()


def lock(*persons: Who) -> None:
    """Until the transaction ends nobody else decides about a message to these people.

    So two approvals at once cannot both find the cap unreached. Most people have no row that
    could be locked. Who needs several locks them in one call: in one order, or two transactions
    could wait for each other.
    """
    keys = sorted(f"person {source} {name}" for source, name in set(persons))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest(%s::text[]) key",
            [keys],
        )


def contact(source: str, name: str, now: datetime) -> Contact:
    """What is known of a person."""
    names = known_as(source, name)
    person = find(source, name)
    lately = Q(state__in=WAITING) | Q(state=State.SENT, sent_at__gt=now - WEEK)
    messages = DirectMessage.objects.filter(lately, recipient__in=names, source=source)
    found = messages.values_list("state", "sent_at")
    sent_at = [at for state, at in found if state == State.SENT and at is not None]
    return contact_of(person, now, len(found) - len(sent_at), tuple(sent_at))


def find(source: str, name: str) -> Person | None:
    """The person's row, also where only the wish of somebody erased is left; most have none."""
    rows = Person.objects.select_related("talking_with").filter(source=source)
    return rows.filter(name__in=known_as(source, name)).first()


def find_all(persons: Collection[Who]) -> dict[Who, Person]:
    """`find` for many people at once; those without a row are left out."""
    known = {who: known_as(*who) for who in set(persons)}
    names = {name for stored in known.values() for name in stored}
    rows = Person.objects.select_related("talking_with").filter(name__in=names)
    by_name = {(person.source, person.name): person for person in rows}
    return {
        who: by_name[who[0], name]
        for who, stored in known.items()
        for name in stored
        if (who[0], name) in by_name
    }


def contact_of(
    person: Person | None, now: datetime, waiting: int, sent_at: tuple[datetime, ...]
) -> Contact:
    """The same of what was read already; `person` is None for most people."""
    return Contact(
        opted_out=person is not None and is_opted_out(person, now),
        blocked=person is not None and person.blocked_at is not None,
        talking_with=_talking_with(person, now),
        waiting=waiting,
        sent_at=sent_at,
    )


def is_opted_out(person: Person, now: datetime) -> bool:
    """Whether the person wants no messages at this moment."""
    if person.opted_out_at is None:
        return False
    return person.opted_out_until is None or person.opted_out_until > now


def is_talking(person: Person, now: datetime) -> bool:
    """Whether an operator talks to the person by hand at this moment."""
    return person.talking_until is not None and person.talking_until > now


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
    audit.record(actor or "the person", "opt out", in_audit(source, name), by=by, days=days)
    return person


@transaction.atomic
def opt_in(person_id: int, actor: str) -> None:
    """Take an opt-out back, which the person has asked an operator for."""
    person = Person.objects.select_for_update().get(pk=person_id)
    person.opted_out_at, person.opted_out_until, person.opted_out_by = None, None, ""
    person.save()
    audit.record(actor, "opt in", in_audit(person.source, person.name))


@transaction.atomic
def block(source: str, name: str, actor: str, reason: str = "") -> Person:
    """Write to this person no more, whatever they say."""
    person = _locked(source, name)
    person.blocked_at, person.block_reason = timezone.now(), reason
    person.save()
    audit.record(actor, "block", in_audit(source, name))  # the reason can say anything of them
    return person


@transaction.atomic
def unblock(person_id: int, actor: str) -> None:
    """End a block."""
    person = Person.objects.select_for_update().get(pk=person_id)
    person.blocked_at, person.block_reason = None, ""
    person.save()
    audit.record(actor, "unblock", in_audit(person.source, person.name))


@transaction.atomic
def take_over(source: str, name: str, user_id: int, actor: str, hours: int = 72) -> Person:
    """An operator talks to the person by hand: no automatic message for so long."""
    person = _locked(source, name)
    person.talking_with_id = user_id
    person.talking_until = timezone.now() + timedelta(hours=hours)
    person.save()
    audit.record(actor, "take over", in_audit(source, name), hours=hours)
    return person


@transaction.atomic
def hand_back(person_id: int, actor: str) -> None:
    """The operator's talk with the person is over."""
    person = Person.objects.select_for_update().get(pk=person_id)
    person.talking_with, person.talking_until = None, None
    person.save()
    audit.record(actor, "hand back", in_audit(person.source, person.name))


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


def forget(source: str, name: str) -> int | None:
    """Forget a person, in the caller's transaction, but for the wish not to be written to.

    That stays, under the pseudonym alone. Returns the key of what there was, or None.
    """
    lock((source, name))
    person = Person.objects.filter(source=source, name__in=known_as(source, name)).first()
    if person is None:
        return None
    key = person.pk
    if person.blocked_at is None and not is_opted_out(person, timezone.now()):
        person.delete()
        return key
    person.name = erased_name(source, name)
    person.block_reason = ""
    person.talking_with = person.talking_until = person.last_wrote_at = None
    person.save()
    return key


def says_stop(text: str) -> bool:
    """Whether an answer asks for no more messages: one of the stop words, alone or at its start."""
    words = " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())
    if len(words) > LONGEST_STOP:
        return False
    return words in STOP_WORDS or words.split(" ")[0] in {"stop", "unsubscribe"}


def _locked(source: str, name: str) -> Person:
    """The person's row, made if need be. Who was erased and is heard of again has the old wish."""
    lock((source, name))
    known = Person.objects.filter(source=source, name__in=known_as(source, name))
    person = known.select_for_update().first() or Person(source=source)
    person.name = name
    person.save()
    return person


def _talking_with(person: Person | None, now: datetime) -> str:
    if person is None or not is_talking(person, now):
        return ""
    return str(person.talking_with or "somebody")
