"""What would have been sent if a campaign had been active: reads, and writes nothing.

The campaign is taken as it stands now, as if it had been active all the time, whatever its start
and end; the others as they are. A comment is looked at as of the moment in which it was flagged.
Each message that would have been sent counts for those after it to the same person, also where an
operator would have had to approve it, unless one rejected it; what was really sent for these
comments does not count. Wishes and blocks are those of today: who has opted out since would not be
written to either. The pace of the account is left out, which delays messages and forbids none.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import QuerySet, TextChoices
from django.utils import timezone

from comments.models import Comment
from comments.partitions import id_at
from comments.scope import EVERY, Scope
from dmtrigger import people, policy
from dmtrigger.campaigns import (
    Wording,
    approves,
    as_if_active,
    facts,
    in_order,
    limits,
    objection,
    word,
)
from dmtrigger.models import Account, Campaign, DirectMessage, Person
from dmtrigger.policy import WEEK, Refused
from dmtrigger.states import State
from intents.models import IntentResult, Review
from intents.reviews import CannotApprove

MOST_COMMENTS = 1_000  # the newest; they are worked on in memory
MOST_DAYS = 30

Name = tuple[str, str]
"""Of a person or an account: its source, and the name there."""


class Would(TextChoices):
    """What would have become of a comment."""

    AUTOMATIC = "automatic", "sent without an operator"
    REVIEW = "review", "sent if an operator approves"
    REFUSED = "refused", "refused by the policy"
    OTHER = "other", "answered by another campaign"
    NOT_MEANT = "not_meant", "not meant by this campaign"
    IMPOSSIBLE = "impossible", "no message possible"
    NOT_FLAGGED = "not_flagged", "not flagged"


class Line(NamedTuple):
    """A comment, what would have become of it, and why."""

    intent: IntentResult
    would: Would
    reasons: list[str]
    answered_by: Campaign | None = None
    text: str = ""
    """The message, also of one that is refused."""

    @property
    def comment(self) -> Comment:
        return self.intent.comment

    @property
    def was(self) -> str:
        """What really became of the review; empty without one."""
        review = _review(self.intent)
        return review.get_status_display() if review else ""


class Report(NamedTuple):
    """The comments, newest first, with counts."""

    lines: list[Line]
    counts: list[tuple[Would, int]]
    """Those that there are, in the order of `Would`."""
    is_cut: bool
    """Whether there were more than MOST_COMMENTS."""


def of_days(campaign: Campaign, days: int, scope: Scope = EVERY) -> Report:
    """What would have been sent in the last days, to the newest MOST_COMMENTS flagged comments."""
    since = timezone.now() - timedelta(days=days)
    flagged = _intents().filter(review__isnull=False, comment_id__gte=id_at(since))
    found = list(scope.narrow(flagged).order_by("-comment_id")[: MOST_COMMENTS + 1])
    return _report(campaign, found[:MOST_COMMENTS], is_cut=len(found) > MOST_COMMENTS)


def of_comment(campaign: Campaign, comment_id: int) -> Report:
    """What would have become of one comment. Raises IntentResult.DoesNotExist if it was never
    analysed."""
    return _report(campaign, [_intents().get(comment_id=comment_id)], is_cut=False)


def _intents() -> QuerySet[IntentResult]:
    return IntentResult.objects.select_related("comment", "review__decided_by")


def _report(campaign: Campaign, intents: Sequence[IntentResult], *, is_cut: bool) -> Report:
    asked, past = _asked(campaign), _Past.of(intents)
    oldest_first = sorted(intents, key=lambda intent: intent.comment_id)
    lines = [_line(intent, campaign, asked, past) for intent in oldest_first]
    counts = Counter(line.would for line in lines)
    return Report(lines[::-1], [(would, counts[would]) for would in Would if counts[would]], is_cut)


def _asked(campaign: Campaign) -> list[Campaign]:
    """The active campaigns in order, with this one among them."""
    every = in_order().prefetch_related("variants")
    asked = [as_if_active(each) if each.pk == campaign.pk else each for each in every]
    return [each for each in asked if each.is_active]


class _Past(NamedTuple):
    """What there is of the comments' authors, read at once; what would be sent is added to it."""

    persons: dict[Name, Person]
    accounts: dict[Name, Account]
    sent_at: defaultdict[Name, list[datetime]]

    @classmethod
    def of(cls, intents: Sequence[IntentResult]) -> "_Past":
        authors = {(intent.comment.source, intent.comment.author) for intent in intents}
        names = {name for who in authors for name in people.known_as(*who)}
        ours = {intent.comment_id for intent in intents}
        sent = DirectMessage.objects.filter(recipient__in=names, state=State.SENT)
        if intents:
            sent = sent.filter(sent_at__gt=min(intent.created_at for intent in intents) - WEEK)
        past = cls(
            people.find_all(authors),
            {(account.source, account.name): account for account in Account.objects.all()},
            defaultdict(list),
        )
        rows = sent.values_list("comment_id", "source", "recipient", "sent_at")
        for comment_id, source, recipient, at in rows:
            if comment_id not in ours and at is not None:
                past.sent_at[source, recipient].append(at)
        return past


def _line(intent: IntentResult, campaign: Campaign, asked: Sequence[Campaign], past: _Past) -> Line:
    """What becomes of the comment; if it is written to, that is noted in `past`."""
    review = _review(intent)
    if review is None:
        return Line(intent, Would.NOT_FLAGGED, [f"nobody was asked, for its score {intent.score}"])
    for answers in asked:
        why_not = objection(answers, intent, intent.created_at)
        if not why_not:
            break
        if answers.pk == campaign.pk:
            return Line(intent, Would.NOT_MEANT, [why_not])
    try:
        wording = word(answers, intent.comment)
    except CannotApprove as problem:
        return Line(intent, Would.IMPOSSIBLE, [str(problem)], answers)
    found = _refused(intent, wording, past)
    would = _would(answers, intent, found)
    rejected = review.status == Review.Status.REJECTED and review.decided_by is not None
    if would is Would.AUTOMATIC or (would is Would.REVIEW and not rejected):
        past.sent_at[intent.comment.source, intent.comment.author].append(intent.created_at)
    if answers.pk != campaign.pk:
        return Line(intent, Would.OTHER, [f"{answers} comes first"], answers, wording.text)
    return Line(intent, would, [each.reason for each in found], answers, wording.text)


def _refused(intent: IntentResult, wording: Wording, past: _Past) -> list[Refused]:
    comment, now = intent.comment, intent.created_at
    who, whose = (comment.source, comment.author), (comment.source, comment.account)
    sent_at = tuple(at for at in past.sent_at[who] if at <= now)
    contact = people.contact_of(past.persons.get(who), now, 0, sent_at)
    account = past.accounts.get(whose) or Account(source=comment.source, name=comment.account)
    return policy.refusals(facts(intent, account, wording, contact), limits(), now)


def _would(campaign: Campaign, intent: IntentResult, found: list[Refused]) -> Would:
    if policy.binding(found, by_person=True):
        return Would.REFUSED
    return Would.AUTOMATIC if approves(campaign, intent) and not found else Would.REVIEW


def _review(intent: IntentResult) -> Review | None:
    return getattr(intent, "review", None)  # Django raises where there is no row
