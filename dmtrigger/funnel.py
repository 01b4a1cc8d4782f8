"""From comment to sale: how many came how far. Reads only.

Every figure is of the comments that were stored in a period, whenever the rest came to it: so each
step is a part of an earlier one, and a share is one. A stretch of time is a range of comment ids
(`comments.partitions`), by which each table is read; no more of it is.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, Exists, Expression, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from comments import counts
from comments.models import Comment
from comments.partitions import first_id, id_at
from comments.scope import EVERY, Scope
from dmtrigger.comparing import MIN_SENT, Counts, Rate, Verdict, compare, rate
from dmtrigger.models import Campaign, Click, Conversion, DirectMessage, Variant
from dmtrigger.states import State
from intents.models import IntentResult, Review

MOST_GROUPS = 100  # those with the most messages; of posts there can be any number


class By(StrEnum):
    """What the funnel is taken apart by."""

    CAMPAIGN = "campaign"
    VARIANT = "variant"
    POST = "post"
    MODEL_VERSION = "model_version"


FIELDS: Mapping[By, tuple[str, ...]] = {
    By.CAMPAIGN: ("campaign_id",),
    By.VARIANT: ("campaign_id", "variant_id"),
    By.POST: ("source", "post_id"),
    By.MODEL_VERSION: ("model_version",),
}
"""The fields of a message that make a group."""

Key = tuple[Any, ...]


class Period(NamedTuple):
    """From `since` until before `until`, in whole seconds."""

    since: datetime
    until: datetime

    def of(self, name: str) -> Q:
        """The rows whose comment id, in the field `name`, was given out in the period."""
        return Q((f"{name}__gte", id_at(self.since)), (f"{name}__lt", id_at(self.until)))

    def place(self, name: str, step: timedelta) -> Expression:
        """Which stretch of time such a row is in, from 0: the period is cut into `step`s."""
        return counts.place(name, self.since, step)


@dataclass
class Row:
    """How many came how far; None: cannot be told, of this group or so long after."""

    name: str = ""
    comments: int | None = None
    flagged: int | None = None
    approved: int | None = None
    sent: int = 0
    clicked: int = 0
    """Messages whose link a person followed, however often; previews and crawlers left out."""
    converted: int = 0
    """Messages that led to a sale."""
    orders: int = 0
    revenue: dict[str, Decimal] = field(default_factory=dict)
    """By currency."""
    states: Counter[str] = field(default_factory=Counter)
    """Messages by state; only told over time."""

    @property
    def click_rate(self) -> Rate | None:
        return rate(self.clicked, self.sent)

    @property
    def conversion_rate(self) -> Rate | None:
        return rate(self.converted, self.sent)


COUNTS = ("comments", "flagged", "approved", "sent", "clicked", "converted", "orders")


@dataclass
class Comparison:
    """The variants of a campaign beside each other."""

    campaign: str
    variants: list[Row]
    clicks: Verdict
    conversions: Verdict


@dataclass
class Report:
    """The funnel of a period."""

    since: datetime
    until: datetime
    by: By
    is_kept: bool
    """Whether comments and reviews of the whole period are still there; else they are not told."""
    total: Row
    groups: list[Row]
    comparisons: list[Comparison]


def report(period: Period, by: By, scope: Scope = EVERY) -> Report:
    """The funnel as a whole, by groups, and the campaigns' variants compared."""
    variants, is_kept = _by_message(period, By.VARIANT, scope), _is_kept(period)
    rows = variants if by is By.VARIANT else _by_message(period, by, scope)
    return Report(
        since=period.since,
        until=period.until,
        by=by,
        is_kept=is_kept,
        total=_total(period, variants.values(), scope, is_kept=is_kept),
        groups=_groups(period, rows, by, scope, is_kept=is_kept),
        comparisons=_comparisons(variants),
    )


def over_time(period: Period, step: timedelta, scope: Scope = EVERY) -> list[Row]:
    """The funnel of each stretch of the period, one `step` after the other, the oldest first."""
    begins = [period.since + n * step for n in range((period.until - period.since) // step)]
    rows = [
        Row(comments=0, flagged=0, approved=0) if _is_kept(Period(begin, period.until)) else Row()
        for begin in begins
    ]
    _count_comments(rows, period, step, scope)
    _count_messages(rows, period, step, scope)
    return rows


def together(rows: Iterable[Row]) -> Row:
    """What rows that share nothing have together; what cannot be told of one, cannot be of all."""
    total = Row(comments=0, flagged=0, approved=0)
    for row in rows:
        for name in COUNTS:
            ours, its = getattr(total, name), getattr(row, name)
            setattr(total, name, None if ours is None or its is None else ours + its)
        for currency, value in row.revenue.items():
            total.revenue[currency] = total.revenue.get(currency, Decimal()) + value
        total.states += row.states
    return total


def _is_kept(period: Period) -> bool:
    """Whether all comments and reviews of the period are still there."""
    oldest = timezone.now().astimezone(UTC).date() - timedelta(days=settings.RETENTION_DAYS)
    return id_at(period.since) >= first_id(oldest)


# --- what is counted --------------------------------------------------------------------------


def _count_comments(rows: list[Row], period: Period, step: timedelta, scope: Scope) -> None:
    """The steps before there is a message, of the stretches of which all is kept."""
    comments = counts.over_time(period.since, step, len(rows), scope)
    for row, came_in in zip(rows, comments, strict=True):
        if row.comments is not None:
            row.comments = came_in
    approved = Count("pk", filter=Q(status=Review.Status.APPROVED))
    reviews = scope.narrow(Review.objects.filter(period.of("intent_id"))).order_by()
    decided = reviews.annotate(place=period.place("intent_id", step)).values_list("place")
    for place, flagged, count in decided.annotate(Count("pk"), approved=approved):
        if rows[place].flagged is not None:
            rows[place].flagged, rows[place].approved = flagged, count


def _count_messages(rows: list[Row], period: Period, step: timedelta, scope: Scope) -> None:
    """What became of the messages."""
    messages = scope.narrow(DirectMessage.objects.filter(period.of("comment_id"))).order_by()
    placed = messages.annotate(place=period.place("comment_id", step))
    counted: QuerySet[DirectMessage, Any] = placed.values("place", "state")
    for found in counted.annotate(all=Count("pk"), **_steps()):
        row = rows[found["place"]]
        row.states[found["state"]] += found["all"]
        row.sent += found["sent"]
        row.clicked += found["clicked"]
        row.converted += found["converted"]
    sold = _sales(period, scope).annotate(place=period.place("message__comment_id", step))
    for place, currency, orders, value in sold.values_list("place", "currency").annotate(
        Count("pk"), Sum("value")
    ):
        rows[place].orders += orders
        rows[place].revenue[currency] = value


def _steps() -> dict[str, Count]:
    """What is counted of messages, whatever they are grouped by."""
    sent = Q(state=State.SENT)
    clicks = Click.objects.filter(message=OuterRef("pk"), is_bot=False)
    sales = Conversion.objects.filter(message=OuterRef("pk"))
    return {
        "sent": Count("pk", filter=sent),
        "clicked": Count("pk", filter=sent & Q(Exists(clicks))),
        "converted": Count("pk", filter=sent & Q(Exists(sales))),
    }


def _sales(period: Period, scope: Scope) -> QuerySet[Conversion]:
    """The sales that are counted."""
    sales = Conversion.objects.filter(period.of("message__comment_id"), message__state=State.SENT)
    return scope.narrow(sales).order_by("currency")


def _by_message(period: Period, by: By, scope: Scope) -> dict[Key, Row]:
    """The steps from the approval on, of each group that has a message."""
    fields = FIELDS[by]
    messages = scope.narrow(DirectMessage.objects.filter(period.of("comment_id"))).order_by()
    approved = Review.objects.filter(
        period.of("intent_id"), pk=OuterRef("review_id"), status=Review.Status.APPROVED
    )
    counted = messages.values(*fields).annotate(
        approved=Count("pk", filter=Q(Exists(approved))), **_steps()
    )
    rows = {}
    for row in counted:
        key = tuple(row.pop(name) for name in fields)
        rows[key] = Row(**row)
    sold = (
        _sales(period, scope)
        .values_list(*(f"message__{name}" for name in fields), "currency")
        .annotate(Count("pk"), Sum("value"))
    )
    for *key, currency, orders, value in sold:
        row = rows.setdefault(tuple(key), Row(approved=0))  # one that has come just now
        row.orders += orders
        row.revenue[currency] = value
    return rows


def _total(period: Period, rows: Iterable[Row], scope: Scope, *, is_kept: bool) -> Row:
    """What all rows have together, and the steps before there is a message."""
    total = together(rows)
    total.comments = total.flagged = total.approved = None
    if is_kept:
        reviews = scope.narrow(Review.objects.filter(period.of("intent_id")))
        total.comments = scope.narrow(Comment.objects.filter(period.of("pk"))).count()
        total.flagged = reviews.count()
        total.approved = reviews.filter(status=Review.Status.APPROVED).count()
    return total


def _groups(
    period: Period, rows: dict[Key, Row], by: By, scope: Scope, *, is_kept: bool
) -> list[Row]:
    """Those with the most messages first, with all that can be told of them."""
    if not is_kept:
        for row in rows.values():
            row.approved = None  # some of the reviews are gone
    elif by is By.MODEL_VERSION:
        _add_models(period, rows, scope)
    order = sorted(rows, key=lambda key: (-rows[key].sent, str(key)))
    most = {key: rows[key] for key in order[:MOST_GROUPS]}
    if is_kept and by is By.POST:
        _add_posts(period, most, scope)
    for key, name in _names(by, most).items():
        most[key].name = name
    return list(most.values())


def _add_models(period: Period, rows: dict[Key, Row], scope: Scope) -> None:
    """What each model analysed and flagged, also those whose answers led to no message."""
    results = scope.narrow(IntentResult.objects.filter(period.of("pk"))).order_by()
    counted = results.values_list("model_version").annotate(**_counts(period))
    for version, comments, flagged in counted:
        row = rows.setdefault((version,), Row(approved=0))
        row.comments, row.flagged = comments, flagged


def _add_posts(period: Period, rows: dict[Key, Row], scope: Scope) -> None:
    """How many comments these posts had, and how many of them were flagged."""
    posts = {post_id for _source, post_id in rows}
    of_posts = Comment.objects.filter(period.of("pk"), post_id__in=posts)
    comments = scope.narrow(of_posts).order_by()
    for row in rows.values():
        row.comments = row.flagged = 0
    counted = comments.values_list("source", "post_id").annotate(**_counts(period))
    for *key, count, flagged in counted:
        if tuple(key) in rows:  # a post's id may be another platform's too
            rows[tuple(key)].comments, rows[tuple(key)].flagged = count, flagged


def _counts(period: Period) -> dict[str, Count]:
    """Of comments or their results: how many there are, and how many were flagged.

    The period is said of the reviews too: from that of the one PostgreSQL would not conclude it.
    """
    reviews = Review.objects.filter(period.of("intent_id"), intent_id=OuterRef("pk"))
    return {"all": Count("pk"), "flagged": Count("pk", filter=Q(Exists(reviews)))}


def _names(by: By, keys: Iterable[Key]) -> dict[Key, str]:
    """What people call the groups."""
    if by is By.MODEL_VERSION:
        return {key: key[0] or "(not known)" for key in keys}
    if by is By.POST:
        return {(source, post_id): f"{post_id} ({source})" for source, post_id in keys}
    campaigns = Campaign.objects.in_bulk([key[0] for key in keys])
    if by is By.CAMPAIGN:
        return {key: campaigns[key[0]].name for key in keys}
    variants = Variant.objects.in_bulk([key[1] for key in keys if key[1]])
    return {
        (campaign, variant): f"{campaigns[campaign]}: {variants.get(variant, '(deleted)')}"
        for campaign, variant in keys
    }


# --- variants beside each other ---------------------------------------------------------------


def _comparisons(rows: Mapping[Key, Row]) -> list[Comparison]:
    """Of each campaign that has written to somebody and has variants to choose between.

    One that is given to nobody any more is left out, unless there are enough messages of it.
    """
    campaigns = Campaign.objects.filter(pk__in={campaign for campaign, _variant in rows})
    found = []
    for campaign in campaigns.prefetch_related("variants").order_by("name"):
        named = [
            replace(rows.get((campaign.pk, variant.pk), Row()), name=variant.name)
            for variant in sorted(campaign.variants.all(), key=lambda variant: variant.pk)
            if variant.weight or rows.get((campaign.pk, variant.pk), Row()).sent >= MIN_SENT
        ]
        if len(named) > 1:
            clicks = compare([Counts(row.name, row.sent, row.clicked) for row in named])
            sales = compare([Counts(row.name, row.sent, row.converted) for row in named])
            found.append(Comparison(campaign.name, named, clicks, sales))
    return found
