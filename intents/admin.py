"""Analysed comments in the admin. The reviews' console is in `dmtrigger.reviews_admin`: deciding
one needs to show the message that would go out."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.text import Truncator

from comments.admin import FirstRows, ReadOnlyAdmin
from comments.models import Comment
from comments.scope import scope_of
from comments.wakeup import wake_unless_woken
from intents import failures
from intents.model_admin import ModelVersionAdmin
from intents.models import AnalysisFailure, IntentResult, ModelVersion
from intents.tasks import analyze_comment_batch

admin.site.register(ModelVersion, ModelVersionAdmin)


@admin.register(IntentResult)
class IntentResultAdmin(ReadOnlyAdmin):
    list_display = (
        "comment",
        "label",
        "score",
        "confidence",
        "band",
        "model_version",
        "created_at",
    )
    list_filter = ("label",)  # which has an index
    list_select_related = ()
    ordering = ("-comment_id",)

    def get_exclude(self, request: HttpRequest, obj: IntentResult | None = None) -> Any:
        """The evidence names comments that the model learnt from, which may be any account's."""
        return () if scope_of(request.user).is_whole else ("evidence",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[IntentResult]:
        """Not joined: PostgreSQL would go through all the comments between two of a rare label."""
        return super().get_queryset(request).prefetch_related("comment")


class ParkedFilter(admin.SimpleListFilter):
    """Whether somebody has to do something."""

    title = "state"
    parameter_name = "parked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", "Parked: waits for you"), ("no", "Is tried again by itself")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AnalysisFailure]
    ) -> QuerySet[AnalysisFailure]:
        if self.value() is None:
            return queryset
        return queryset.filter(retry_at__isnull=self.value() == "yes")


@admin.register(AnalysisFailure)
class AnalysisFailureAdmin(ReadOnlyAdmin):
    """Comments that could not be analysed, why, and a way to have them tried again."""

    list_display = ("comment", "reason", "attempts", "failed_at", "retry_at")
    list_filter = (ParkedFilter,)
    fields = ("comment", "comment_id", "reason", "attempts", "failed_at", "retry_at")
    readonly_fields = ("comment",)
    ordering = ("-comment_id",)
    actions = ("analyse_again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AnalysisFailure]:
        text = Comment.objects.filter(pk=OuterRef("comment_id")).values("text")
        rows: QuerySet[AnalysisFailure] = super().get_queryset(request)
        return rows.annotate(text=Subquery(text))

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("intents.retry_analysis")

    @admin.display
    def comment(self, failure: Any) -> str:
        return Truncator(failure.text or "(no longer kept)").chars(120)

    @admin.action(description="Analyse again", permissions=["retry"])
    def analyse_again(self, request: HttpRequest, queryset: QuerySet[AnalysisFailure]) -> None:
        chosen = list(FirstRows.of(queryset))
        due = failures.retry([failure.pk for failure in chosen])
        for failure in chosen:
            self.log_change(request, failure, "to be analysed again")
        wake_unless_woken(analyze_comment_batch)
        messages.success(request, f"To be analysed again: {due}. Those that fail come back here.")
