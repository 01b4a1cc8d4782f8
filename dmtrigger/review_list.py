"""The list of reviews: what comes first, what may be chosen, what each row says."""

from typing import Any

from django.contrib import admin
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.db.models import F, QuerySet
from django.db.models.functions import Abs
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.timesince import timeuntil

from comments.admin import SEARCH_HELP, FirstRows, WithinAccounts, matching
from comments.came_in import CameIn
from comments.models import Comment
from comments.scope import scope_of
from dmtrigger import review_queue
from dmtrigger.people_admin import wishes
from dmtrigger.review_filters import (
    SNOOZED,
    AccountFilter,
    AgeFilter,
    AssigneeFilter,
    CampaignFilter,
    LanguageFilter,
    OrderFilter,
    PostFilter,
    StatusFilter,
    campaigns,
    facets,
    is_of_waiting,
)
from dmtrigger.review_page import words_of
from dmtrigger.review_queue import closes_at
from intents.models import Review

WORDS_SHOWN = 4  # of the evidence
KEYS = (
    ("j", "down"),
    ("k", "up"),
    ("x", "tick"),
    ("Enter", "open"),
    ("u", "undo"),
    ("Esc", "leave a field: the keys work again"),
    ("?", "these keys"),
)


class ReviewList(WithinAccounts):
    """A list of few that wait, with all that helps to choose; and one of all, which are many."""

    list_filter = (
        StatusFilter,
        OrderFilter,
        AssigneeFilter,
        "intent__band",
        "intent__label",
        CampaignFilter,
        AccountFilter,
        PostFilter,
        LanguageFilter,
        AgeFilter,
        ("intent", CameIn),
    )
    list_select_related = ("intent__comment", "decided_by", "claimed_by", "snoozed_by")
    list_per_page = 50
    search_fields = ("intent__comment__author", "intent__comment__post_id")
    search_help_text = SEARCH_HELP
    paginator = FirstRows
    show_full_result_count = False

    def get_list_display(self, request: HttpRequest) -> Any:
        if is_of_waiting(request):
            last = "snooze" if request.GET.get("status") == SNOOZED else "assignee"
            return ("comment", "score_and_time", "author_so_far", "would_go_out", last)
        return ("comment", "score", "band", "flagged", "status", "decided_by_whom")

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        """What waits is few, and comes in an order that helps. All reviews are many: to sort them
        by anything but their key would read them all."""
        if not is_of_waiting(request):
            return ("-pk",)
        orders: dict[str | None, tuple[Any, ...]] = {
            OrderFilter.uncertain: (Abs(F("intent__score") - 50), "pk"),
            OrderFilter.likely: ("-intent__score", "pk"),
            OrderFilter.oldest: ("flagged_at", "pk"),
        }
        order = request.GET.get(OrderFilter.parameter_name)
        return orders.get(order) or review_queue.by_urgency()

    def get_sortable_by(self, request: HttpRequest) -> Any:
        return super().get_sortable_by(request) if is_of_waiting(request) else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Review], search_term: str
    ) -> tuple[QuerySet[Review], bool]:
        if not search_term:
            return queryset, False
        found = Comment.objects.filter(matching(search_term)).values("pk")
        return queryset.filter(intent__in=found), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add to each row what it says beside its comment, for the whole page at once."""
        context = {"keys": KEYS} | (extra_context or {})
        if not is_of_waiting(request):
            return super().changelist_view(request, context)
        context["newest"] = facets(request).newest
        answer = super().changelist_view(request, context)
        shown = getattr(answer, "context_data", None)  # an action or a redirect has none
        if shown is not None and "cl" in shown:
            page = list(shown["cl"].result_list)
            scope = scope_of(request.user)
            rows = review_queue.rows(page, campaigns(request), scope)
            for review in page:
                review.row = rows[review.pk]
            shown["cl"].result_list = page
        return answer

    @admin.display(description="comment", ordering="intent__comment__author")
    def comment(self, review: Review) -> str:
        comment = review.intent.comment
        text = Truncator(comment.text).chars(120)
        by = f"{comment.author} (influencer)" if comment.is_influencer else comment.author
        words = [word for word, _weight in words_of(review.intent)[:WORDS_SHOWN]]
        why = f": {', '.join(words)}" if words else ""
        return format_html("{}<br><small>{}, {}{}</small>", text, by, comment.post_id, why)

    @admin.display(ordering="intent__score")
    def score(self, review: Review) -> int:
        return review.intent.score

    @admin.display(ordering="intent__score")
    def band(self, review: Review) -> str:
        return review.intent.get_band_display()

    @admin.display(description="score", ordering="intent__score")
    def score_and_time(self, review: Review) -> str:
        closes, now = closes_at(review.intent.comment), timezone.now()
        left = "no time left" if closes <= now else f"{timeuntil(closes, now, depth=1)} left"
        return format_html("{}<br><small>{}</small>", review.intent.score, left)

    @admin.display(description="author so far")
    def author_so_far(self, review: Any) -> str:
        row: review_queue.Row = review.row
        said = wishes(row.person, timezone.now()) if row.person else []
        if row.last_sent_at is not None:
            times = f"{row.sent} message{'s' if row.sent > 1 else ''}"
            said.append(f"{times}, the last {naturaltime(row.last_sent_at)}")
        return "; ".join(said) or "new"

    @admin.display(description="message")
    def would_go_out(self, review: Any) -> str:
        row: review_queue.Row = review.row
        text = Truncator(row.message).chars(80)
        if not row.problem:
            return text
        return format_html('{}<br><small class="forbids">Not sent: {}</small>', text, row.problem)

    @admin.display
    def assignee(self, review: Review) -> str:
        until = review.claimed_until
        return str(review.claimed_by or "") if until and until > timezone.now() else ""

    @admin.display(description="snoozed", ordering="snoozed_until")
    def snooze(self, review: Review) -> str:
        return f"until {review.snoozed_until:%Y-%m-%d %H:%M} by {review.snoozed_by or 'somebody'}"

    @admin.display(ordering="flagged_at")
    def flagged(self, review: Review) -> str:
        return naturaltime(review.flagged_at)

    @admin.display(description="decided by")
    def decided_by_whom(self, review: Review) -> str:
        return str(review.decided_by or review.decided_by_rule or "")
