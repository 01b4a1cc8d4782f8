"""The filters of the list of reviews.

Most are there for what waits only: that is few. All reviews are many, and to look among them for
an account or a language would read every one.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Max, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from comments.scope import scope_of
from dmtrigger.campaigns import active_campaigns
from dmtrigger.models import Campaign
from intents.models import Review
from intents.reviews import claimed_by_others, is_snoozed

MOST_GROUPS = 1_000
MOST_CHOICES = 30  # those with the newest reviews; the search finds every post
SNOOZED = "snoozed"
NOT_TOLD = "none"

Choices = list[tuple[Any, str]]


class Facets(NamedTuple):
    """What the waiting reviews are of: the newest of them first."""

    newest: int
    """The key of the newest review that waits; 0 without one."""
    accounts: list[tuple[str, str]]
    posts: list[str]
    languages: list[str]


def user_id(request: HttpRequest) -> int:
    """The operator's key; nobody sees these pages without having signed in."""
    key: int = cast(AbstractBaseUser, request.user).pk
    return key


def facets(request: HttpRequest) -> Facets:
    """Read once for all filters of a page."""
    kept = vars(request)
    if "review_facets" not in kept:
        groups = (
            scope_of(request.user)
            .narrow(Review.objects.filter(status=Review.Status.PENDING))
            .order_by()
            .values_list(
                "intent__comment__source",
                "intent__comment__account",
                "intent__comment__post_id",
                "intent__language",
            )
            .annotate(newest=Max("pk"))
            .order_by("-newest")[:MOST_GROUPS]
        )
        found = list(groups)
        kept["review_facets"] = Facets(
            newest=found[0][4] if found else 0,
            accounts=_first((source, account) for source, account, *_ in found),
            posts=_first(post for _source, _account, post, *_ in found),
            languages=_first(language for *_, language, _newest in found),
        )
    known: Facets = kept["review_facets"]
    return known


def campaigns(request: HttpRequest) -> list[Campaign]:
    """The active ones that the user sees, read once for a page. Others answer no comment that
    the user sees."""
    kept = vars(request)
    if "active_campaigns" not in kept:
        kept["active_campaigns"] = active_campaigns(scope_of(request.user))
    known: list[Campaign] = kept["active_campaigns"]
    return known


def _first(found: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(found))[:MOST_CHOICES]


def is_of_waiting(request: HttpRequest) -> bool:
    """Whether the list is one of pending reviews, see `StatusFilter`."""
    status = request.GET.get(StatusFilter.parameter_name, Review.Status.PENDING)
    return status in (Review.Status.PENDING, SNOOZED)


class StatusFilter(admin.SimpleListFilter):
    """Like the built-in filter, but shows what is to be done unless asked for more."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        pending, *decided = Review.Status.choices
        return [pending, (SNOOZED, "Snoozed"), *decided, ("all", "All")]

    def value(self) -> str:
        return super().value() or Review.Status.PENDING

    def choices(self, changelist: ChangeList) -> Any:
        return list(super().choices(changelist))[1:]  # without the "All" that means no parameter

    def queryset(self, request: HttpRequest, queryset: QuerySet[Review]) -> QuerySet[Review]:
        status, pending = self.value(), queryset.filter(status=Review.Status.PENDING)
        if status == SNOOZED:
            return pending.filter(is_snoozed())
        if status == Review.Status.PENDING:
            return pending.exclude(is_snoozed())
        return queryset if status == "all" else queryset.filter(status=status)


class OfWaiting(admin.SimpleListFilter):
    """A filter that only the lists of what waits have."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return self.offered(request) if is_of_waiting(request) else []

    def offered(self, request: HttpRequest) -> Choices:
        """What may be chosen."""
        raise NotImplementedError

    def wanted(self, request: HttpRequest, value: str) -> Q:
        """What is shown."""
        raise NotImplementedError

    def queryset(self, request: HttpRequest, queryset: QuerySet[Review]) -> QuerySet[Review]:
        value = self.value()
        return queryset.filter(self.wanted(request, value)) if value else queryset


class OrderFilter(OfWaiting):
    """What comes first of what waits; `ReviewAdmin.get_ordering` sorts by it."""

    title = "order"
    parameter_name = "order"
    likely, uncertain, oldest = "likely", "uncertain", "oldest"

    def offered(self, request: HttpRequest) -> Choices:
        return [
            (self.likely, "Likeliest first"),
            (self.uncertain, "Most uncertain first"),
            (self.oldest, "Longest waiting first"),
        ]

    def choices(self, changelist: ChangeList) -> Any:
        urgent, *others = super().choices(changelist)
        return [{**urgent, "display": "Likely, soonest to expire first"}, *others]

    def wanted(self, request: HttpRequest, value: str) -> Q:
        return Q()


class AssigneeFilter(OfWaiting):
    """Who has a review open."""

    title = "assignee"
    parameter_name = "assignee"

    def offered(self, request: HttpRequest) -> Choices:
        return [("mine", "Mine"), ("nobody", "Nobody's"), ("others", "Others'")]

    def wanted(self, request: HttpRequest, value: str) -> Q:
        me = user_id(request)
        mine = Q(claimed_by=me, claimed_until__gt=timezone.now())
        others = claimed_by_others(me)
        return {"mine": mine, "others": others}.get(value, ~(mine | others))


class CampaignFilter(OfWaiting):
    """The comments that a campaign is for. Another may come first, and its words are not asked:
    the database cannot tell."""

    title = "campaign (post, account and score)"
    parameter_name = "campaign"

    def offered(self, request: HttpRequest) -> Choices:
        return [(str(campaign.pk), str(campaign)) for campaign in campaigns(request)]

    def wanted(self, request: HttpRequest, value: str) -> Q:
        meant = [campaign for campaign in campaigns(request) if str(campaign.pk) == value]
        if not meant:
            return Q(pk__in=[])
        campaign, wanted = meant[0], Q(intent__score__gte=meant[0].min_score)
        if campaign.post_id:
            wanted &= Q(intent__comment__post_id=campaign.post_id)
        if campaign.account is not None:
            wanted &= _of_account(campaign.account.source, campaign.account.name)
        return wanted


class AccountFilter(OfWaiting):
    """The brand's account under whose post the comment is."""

    title = "account"
    parameter_name = "account"

    def offered(self, request: HttpRequest) -> Choices:
        return [
            (f"{source}:{name}", f"{name or 'the only one'} ({source})")
            for source, name in facets(request).accounts
        ]

    def wanted(self, request: HttpRequest, value: str) -> Q:
        source, _colon, name = value.partition(":")
        return _of_account(source, name)


class PostFilter(OfWaiting):
    """The post that the comment is under."""

    title = "post"
    parameter_name = "post"

    def offered(self, request: HttpRequest) -> Choices:
        return [(post, post) for post in facets(request).posts]

    def wanted(self, request: HttpRequest, value: str) -> Q:
        return Q(intent__comment__post_id=value)


class LanguageFilter(OfWaiting):
    """The comment's language, where the analysis told one."""

    title = "language"
    parameter_name = "language"

    def offered(self, request: HttpRequest) -> Choices:
        return [(code or NOT_TOLD, code or "not told") for code in facets(request).languages]

    def wanted(self, request: HttpRequest, value: str) -> Q:
        return Q(intent__language="" if value == NOT_TOLD else value)


class AgeFilter(OfWaiting):
    """How long ago the comment was written."""

    title = "age"
    parameter_name = "age"
    ages = (
        ("hour", "under an hour", None, timedelta(hours=1)),
        ("day", "1 to 24 hours", timedelta(hours=1), timedelta(days=1)),
        ("days", "1 to 3 days", timedelta(days=1), timedelta(days=3)),
        ("older", "over 3 days", timedelta(days=3), None),
    )

    def offered(self, request: HttpRequest) -> Choices:
        return [(name, said) for name, said, *_ in self.ages]

    def wanted(self, request: HttpRequest, value: str) -> Q:
        now = timezone.now()
        for name, _said, least, most in self.ages:
            if name == value:
                older = Q() if least is None else Q(intent__comment__posted_at__lte=now - least)
                younger = Q() if most is None else Q(intent__comment__posted_at__gt=now - most)
                return older & younger
        return Q(pk__in=[])


def _of_account(source: str, name: str) -> Q:
    return Q(intent__comment__source=source, intent__comment__account=name)
