"""The figures of the console's first page. Reads only.

As in the funnel, everything of a period is said of the comments that came in then, whenever the
rest came to it: so all figures of a page fit together, and each table is read by a range of
comment ids. These are kept in the cache for some seconds; what waits at this moment is asked anew.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, cast

from django.core.cache import cache
from django.db.models import Count, Exists, F, Min, Model, OuterRef, Q, QuerySet, Value
from django.utils import timezone

from comments.models import Comment
from comments.partitions import EPOCH
from comments.scope import EVERY, Scope
from dmtrigger import funnel, pacing
from dmtrigger.funnel import Period, Row
from dmtrigger.models import Account, Click, DirectMessage, WebhookEndpoint
from dmtrigger.pacing import Load
from dmtrigger.senders import senders
from dmtrigger.states import State
from intents import experiments, reviews
from intents.experiments import Judged
from intents.models import AnalysisFailure, Review

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST = 5  # posts and commenters that are named
MOST_RANKED = 500_000  # comments, about; to rank more takes a second and longer
CLOSES_SOON = DAY


class Span(NamedTuple):
    """A period that can be chosen: so many hours or days of UTC, with the one that goes on."""

    key: str
    title: str
    step: timedelta
    steps: int
    kept: int
    """Seconds for which its figures are; the more there is to count, the longer."""

    def period(self, now: datetime) -> Period:
        """From the beginning of its first hour or day to the end of the one that goes on."""
        until = EPOCH + ((now - EPOCH) // self.step + 1) * self.step
        return Period(until - self.steps * self.step, until)


SPANS = {
    span.key: span
    for span in (
        Span("24h", "24 hours", HOUR, 24, kept=10),
        Span("7d", "7 days", DAY, 7, kept=30),
        Span("30d", "30 days", DAY, 30, kept=120),
    )
}


class Top(NamedTuple):
    """A post or a person, and how many comments there are."""

    name: str
    comments: int


class Ranking(StrEnum):
    """By what posts and people are ranked."""

    POSTS = "posts"
    POSTS_WITH_INTENTS = "posts with intents"
    COMMENTERS = "commenters"


@dataclass(frozen=True)
class Figures:
    """What came in during a period, and what came of it."""

    at: datetime
    """When it was counted."""
    period: Period
    rows: list[Row]
    """The funnel of each hour or day."""
    clicks: list[int]
    """By people, in each of these."""
    judged: Judged
    ranked: Period
    """What the rankings are of: the whole period, or its end if too many came in."""
    tops: dict[Ranking, list[Top]]

    @property
    def total(self) -> Row:
        return funnel.together(self.rows)


class What(StrEnum):
    """What may wait for a program or a person."""

    COMMENTS = "comments"  # to be analysed
    REVIEWS = "reviews"
    CLOSING = "closing reviews"  # that can be answered for less than `CLOSES_SOON`
    UNKNOWN = "unknown outcomes"  # which only a person can settle
    PARKED = "parked analyses"
    OFF = "endpoints switched off"


class Waiting(NamedTuple):
    """How many wait, and since when the first does."""

    number: int
    since: datetime | None


NOTHING = Waiting(0, None)


class Health(NamedTuple):
    """An account that sends, and how it does."""

    account: Account
    load: Load
    is_paused: bool


def figures(span: Span, scope: Scope = EVERY) -> Figures:
    """What is told of the period; at most `span.kept` seconds old."""
    period = span.period(timezone.now())
    key = f"dashboard:{scope.label}:{span.key}:{period.since:%Y%m%d%H}"
    return cast(Figures, cache.get_or_set(key, lambda: count(span, period, scope), span.kept))


def count(span: Span, period: Period, scope: Scope = EVERY) -> Figures:
    """Count it all now."""
    rows = funnel.over_time(period, span.step, scope)
    ranked = _ranked(rows, period, span)
    return Figures(
        at=timezone.now(),
        period=period,
        rows=rows,
        clicks=_clicks(period, span, scope),
        judged=experiments.judged(period.since, scope),
        ranked=ranked,
        tops=_tops(ranked, scope),
    )


def _ranked(rows: list[Row], period: Period, span: Span) -> Period:
    """The last hours or days of the period with up to `MOST_RANKED` comments; one at least."""
    since, comments = period.until - span.step, rows[-1].comments or 0
    for row in reversed(rows[:-1]):
        comments += row.comments or 0
        if comments > MOST_RANKED:
            break
        since -= span.step
    return Period(since, period.until)


def _clicks(period: Period, span: Span, scope: Scope) -> list[int]:
    clicks = Click.objects.filter(period.of("message__comment_id"), is_bot=False).order_by()
    placed = scope.narrow(clicks).annotate(place=period.place("message__comment_id", span.step))
    counted = dict(placed.values_list("place").annotate(Count("pk")))
    return [counted.get(place, 0) for place in range(span.steps)]


def _tops(period: Period, scope: Scope) -> dict[Ranking, list[Top]]:
    """The rankings, in one statement. By names alone: those have an index, and are searched for."""
    comments = scope.narrow(Comment.objects.filter(period.of("pk")))
    # Not narrowed to the period too: where PostgreSQL takes both for few rows (new partitions have
    # no statistics yet), it would compare each comment with all reviews.
    flagged = Review.objects.filter(intent_id=OuterRef("pk"))
    first, *others = (
        _top(Ranking.POSTS, comments, "post_id"),
        _top(Ranking.POSTS_WITH_INTENTS, comments.filter(Exists(flagged)), "post_id"),
        _top(Ranking.COMMENTERS, comments, "author"),
    )
    tops: dict[Ranking, list[Top]] = {ranking: [] for ranking in Ranking}
    for ranking, name, comments in first.union(*others, all=True):
        tops[Ranking(ranking)].append(Top(name, comments))
    return {name: sorted(top, key=lambda t: (-t.comments, t.name)) for name, top in tops.items()}


def _top(ranking: Ranking, comments: QuerySet[Comment], field: str) -> QuerySet[Any, Any]:
    named = comments.values_list(Value(ranking.value), F(field))
    return named.annotate(number=Count("pk")).order_by("-number", field)[:MOST]


# --- at this moment ---------------------------------------------------------------------------


def waiting(wanted: Collection[What], scope: Scope = EVERY) -> dict[What, Waiting]:
    """What waits at this moment, in one statement."""
    if not wanted:
        return {}
    pending = reviews.waiting()  # as in the list that the figure leads to: without the snoozed
    rows: dict[What, tuple[QuerySet[Any], str]] = {
        What.COMMENTS: (Comment.objects.filter(analyzed_at=None), "created_at"),
        What.REVIEWS: (pending, "flagged_at"),
        What.CLOSING: (pending.filter(Exists(_closing(timezone.now(), CLOSES_SOON))), "flagged_at"),
        What.UNKNOWN: (
            DirectMessage.objects.filter(state=State.UNKNOWN, next_attempt_at=None),
            "claimed_at",
        ),
        What.PARKED: (AnalysisFailure.objects.filter(retry_at=None), "failed_at"),
        What.OFF: (WebhookEndpoint.objects.filter(is_active=False), "created_at"),
    }
    narrowed = ((what, scope.narrow(rows[what][0]), rows[what][1]) for what in wanted)
    first, *others = (_counted(*each) for each in narrowed)
    found = {What(what): Waiting(n, since) for what, n, since in first.union(*others, all=True)}
    return dict.fromkeys(wanted, NOTHING) | found


def _counted(what: What, rows: QuerySet[Model], since: str) -> QuerySet[Any, Any]:
    counted: QuerySet[Any, Any] = (
        rows.order_by().values_list(Value(what.value)).annotate(Count("pk"), Min(since))
    )
    return counted


def count_closing(within: timedelta) -> int:
    """How many of the reviews that wait can be answered for less than that."""
    return reviews.waiting().filter(Exists(_closing(timezone.now(), within))).count()


def _closing(now: datetime, within: timedelta) -> QuerySet[Comment]:
    """The comment of a review, where its platform soon takes no answer to it any more."""
    soon = Q()
    for sender in senders().values():
        closed = now - sender.window
        soon |= Q(source=sender.name, posted_at__gt=closed, posted_at__lte=closed + within)
    return Comment.objects.filter(soon, pk=OuterRef("intent_id"))


def health(scope: Scope = EVERY) -> list[Health]:
    """The accounts, those that are paused first."""
    accounts = list(scope.narrow(Account.objects.order_by("source", "name")))
    loads = pacing.load(accounts, senders())
    found = [Health(each, loads[each.pk], pacing.is_paused(each)) for each in accounts]
    return sorted(found, key=lambda each: not each.is_paused)
