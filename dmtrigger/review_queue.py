"""What the list of reviews shows first, and what it says of each: of a whole page at once."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Case, DateTimeField, F, TextChoices, Value, When
from django.db.models.lookups import LessThanOrEqual
from django.utils import timezone

from comments.models import Comment
from comments.scope import EVERY, Scope
from dmtrigger import people, policy
from dmtrigger.campaigns import answer, facts, limits
from dmtrigger.models import Account, Campaign, DirectMessage, Person
from dmtrigger.people import Who
from dmtrigger.policy import WEEK
from dmtrigger.senders import senders
from dmtrigger.states import WAITING, State
from intents.models import Band, IntentResult, Review
from intents.reviews import CannotApprove

Name = tuple[str, str]
"""Of an account: its source, and the name there."""


class Snooze(TextChoices):
    """How long a review is put off."""

    HOUR = "hour", "1 hour"
    TOMORROW = "tomorrow", "tomorrow, 9:00"
    DAYS = "days", "3 days"

    def until(self, now: datetime) -> datetime:
        """When it waits again; 9:00 is that of the server's time zone."""
        if self is Snooze.TOMORROW:
            day = timezone.localtime(now) + timedelta(days=1)
            return day.replace(hour=9, minute=0, second=0, microsecond=0)
        return now + (timedelta(hours=1) if self is Snooze.HOUR else timedelta(days=3))


# --- what comes first -------------------------------------------------------------------------


def closes_at(comment: Comment) -> datetime:
    """When the platform takes no answer to a comment any more, over whichever channel."""
    by_name = senders()
    sender = by_name.get(comment.source) or by_name["webhook"]
    return comment.posted_at + sender.window


def by_urgency() -> tuple[Any, ...]:
    """The likely first, then the others, and of each what expires first; last what has expired."""
    by_name, posted_at = senders(), F("intent__comment__posted_at")
    closes = Case(
        *(
            When(intent__comment__source=name, then=posted_at + sender.window)
            for name, sender in by_name.items()
        ),
        default=posted_at + by_name["webhook"].window,
        output_field=DateTimeField(),
    )
    rank = Case(
        When(LessThanOrEqual(closes, Value(timezone.now())), then=2),
        When(intent__band=Band.IMMEDIATE_DM, then=0),
        default=1,
    )
    return rank, closes, "pk"


# --- what is said of each ---------------------------------------------------------------------


class Row(NamedTuple):
    """What is known of a waiting review beside its comment."""

    message: str
    """The text that would go out; empty without one."""
    problem: str
    """Why it cannot be sent, also by an operator; empty if it can."""
    person: Person | None
    sent: int
    """Messages that the author has got, of the accounts that are seen."""
    last_sent_at: datetime | None


class _Known(NamedTuple):
    """What there is of a page's authors and accounts, read at once."""

    campaigns: Sequence[Campaign]
    persons: dict[Who, Person]
    accounts: dict[Name, Account]
    waiting: dict[Who, int]
    sent_at: dict[Who, list[datetime]]
    shown: dict[Who, list[datetime]]
    """Of these the messages of accounts that are seen."""

    @classmethod
    def of(
        cls, intents: Sequence[IntentResult], campaigns: Sequence[Campaign], scope: Scope
    ) -> "_Known":
        authors = {(intent.comment.source, intent.comment.author) for intent in intents}
        who_is = {(who[0], name): who for who in authors for name in people.known_as(*who)}
        found = DirectMessage.objects.filter(
            recipient__in={name for _source, name in who_is}, state__in=[*WAITING, State.SENT]
        )
        waiting: defaultdict[Who, int] = defaultdict(int)
        sent_at: defaultdict[Who, list[datetime]] = defaultdict(list)
        shown: defaultdict[Who, list[datetime]] = defaultdict(list)
        for source, recipient, state, at, account in found.values_list(
            "source", "recipient", "state", "sent_at", "account"
        ):
            who = who_is.get((source, recipient))
            if who is not None and state == State.SENT and at is not None:
                sent_at[who].append(at)
                if scope.has_key(account):
                    shown[who].append(at)
            elif who is not None:
                waiting[who] += 1
        names = {intent.comment.account for intent in intents}
        accounts = Account.objects.filter(name__in=names)
        return cls(
            campaigns,
            people.find_all(authors),
            {(account.source, account.name): account for account in accounts},
            waiting,
            sent_at,
            shown,
        )


def rows(
    reviews: Sequence[Review], campaigns: Sequence[Campaign], scope: Scope = EVERY
) -> dict[int, Row]:
    """The rows of reviews with their comments, by their keys; `campaigns` are the active ones.

    The limits of what a person gets hold for all accounts; told is what those have sent that are
    seen.
    """
    intents = [review.intent for review in reviews]
    known, now = _Known.of(intents, campaigns, scope), timezone.now()
    return {review.pk: _row(review.intent, known, now) for review in reviews}


def _row(intent: IntentResult, known: _Known, now: datetime) -> Row:
    comment = intent.comment
    who: Who = (comment.source, comment.author)
    person, sent_at = known.persons.get(who), known.sent_at.get(who, [])
    message, problem = "", ""
    try:
        _campaign, wording = answer(intent, now, known.campaigns)
    except CannotApprove as cannot:
        problem = str(cannot)
    else:
        lately = tuple(at for at in sent_at if at > now - WEEK)
        contact = people.contact_of(person, now, known.waiting.get(who, 0), lately)
        account = known.accounts.get((comment.source, comment.account))
        account = account or Account(source=comment.source, name=comment.account)
        found = policy.refusals(facts(intent, account, wording, contact), limits(), now)
        message = wording.text
        problem = "; ".join(each.reason for each in policy.binding(found, by_person=True))
    shown = known.shown.get(who, [])
    return Row(message, problem, person, len(shown), max(shown, default=None))
