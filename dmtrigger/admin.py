"""The operators' console: reviews with the message that would go out; campaigns and messages."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import Truncator

from comments.admin import ReadOnlyAdmin
from dmtrigger.campaigns import draft
from dmtrigger.models import Campaign, DeliveryAttempt, DirectMessage
from intents.models import Review
from intents.reviews import AlreadyDecided, CannotApprove, decide

BUTTONS = {"_approve": Review.Status.APPROVED, "_reject": Review.Status.REJECTED}


class StatusFilter(admin.SimpleListFilter):
    """Like the built-in filter, but shows what is to be done unless asked for more."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*Review.Status.choices, ("all", "All")]

    def value(self) -> str:
        return super().value() or Review.Status.PENDING

    def choices(self, changelist: ChangeList) -> Any:
        return list(super().choices(changelist))[1:]  # without the "All" that means no parameter

    def queryset(self, request: HttpRequest, queryset: QuerySet[Review]) -> QuerySet[Review]:
        return queryset if self.value() == "all" else queryset.filter(status=self.value())


@admin.register(Review)
class ReviewAdmin(admin.ModelAdmin[Review]):
    """Approve or reject, one by one with the whole message in view, or several at once."""

    list_display = (
        "short_text",
        "intent__comment__author",
        "intent__comment__post_id",
        "intent__score",
        "intent__band",
        "flagged_at",
        "status",
        "decided_by_whom",
    )
    list_filter = (StatusFilter, "intent__band", "intent__label")
    list_select_related = ("intent__comment", "decided_by")
    search_fields = ("intent__comment__author", "intent__comment__post_id")
    ordering = ("-intent__score", "pk")
    show_full_result_count = False
    actions = ("approve_selected", "reject_selected")
    fields = ("note",)
    change_form_template = "admin/intents/review/decide.html"

    # --- rights ---

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Review | None = None) -> bool:
        may = request.user.has_perm("intents.decide_review")
        return may and (obj is None or obj.status == Review.Status.PENDING)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("intents.decide_review")

    # --- deciding ---

    @admin.action(description="Approve: send the message", permissions=["decide"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        self._decide_all(request, queryset, Review.Status.APPROVED)

    @admin.action(description="Reject: send nothing", permissions=["decide"])
    def reject_selected(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        self._decide_all(request, queryset, Review.Status.REJECTED)

    def save_model(self, request: HttpRequest, obj: Review, form: Any, change: bool) -> None:
        """Nothing: `intents.reviews` is the only writer; `response_change` calls it."""

    def construct_change_message(self, *_: Any, **__: Any) -> list[str]:
        """Nothing: Django would log the note before the decision is known."""
        return []

    def log_change(self, request: HttpRequest, obj: Review, message: Any) -> LogEntry | None:
        return super().log_change(request, obj, message) if message else None

    def response_change(self, request: HttpRequest, obj: Review) -> HttpResponse:
        for button, decision in BUTTONS.items():
            if button in request.POST and self._decide(request, obj, decision, note=obj.note):
                messages.success(request, f"{decision.label}: {obj.intent.comment}")
        return HttpResponseRedirect(reverse("admin:intents_review_changelist"))

    def _decide_all(
        self, request: HttpRequest, queryset: QuerySet[Review], decision: Review.Status
    ) -> None:
        decided = sum(self._decide(request, review, decision) for review in queryset)
        messages.info(request, f"{decision.label}: {decided}")

    def _decide(
        self, request: HttpRequest, review: Review, decision: Review.Status, note: str = ""
    ) -> bool:
        try:
            decide(review.pk, decision, user=request.user, note=note)
        except (AlreadyDecided, CannotApprove) as problem:
            messages.error(request, f"{review.intent.comment}: {problem}")
            return False
        self.log_change(request, review, f"{decision.label}. {note}".strip())
        return True

    # --- what is shown ---

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *, obj: Review, **kwargs: Any
    ) -> HttpResponse:
        """Add the message: what would go out, or what became of it."""
        context["review"] = obj
        if obj.status == Review.Status.PENDING:
            try:
                context["draft"] = draft(obj.intent.comment)
            except CannotApprove as problem:
                context["no_draft"] = str(problem)
        else:
            context["message"] = DirectMessage.objects.filter(review=obj).first()
        return super().render_change_form(request, context, obj=obj, **kwargs)

    @admin.display(description="comment", ordering="intent__comment__text")
    def short_text(self, review: Review) -> str:
        return Truncator(review.intent.comment.text).chars(100)

    @admin.display(description="decided by")
    def decided_by_whom(self, review: Review) -> str:
        return str(review.decided_by or review.decided_by_rule or "")


@admin.register(Campaign)
class CampaignAdmin(admin.ModelAdmin[Campaign]):
    list_display = ("name", "is_active", "post_id", "link", "auto_threshold")
    list_filter = ("is_active",)


class DeliveryAttemptInline(admin.TabularInline[DeliveryAttempt, DirectMessage]):
    model = DeliveryAttempt
    fields = ("number", "started_at", "finished_at", "outcome", "detail")
    extra = 0


@admin.register(DirectMessage)
class DirectMessageAdmin(ReadOnlyAdmin):
    list_display = (
        "recipient",
        "state",
        "campaign",
        "comment",
        "attempts",
        "created_at",
        "sent_at",
        "last_error",
    )
    list_filter = ("state", "campaign")
    list_select_related = ("campaign", "comment")
    ordering = ("-id",)
    inlines = (DeliveryAttemptInline,)
    show_full_result_count = False
