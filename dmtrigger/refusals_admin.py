"""What was not sent, by which rule, in the operators' console."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator

from comments.admin import CsvExport, ReadOnlyAdmin, ids_of
from comments.models import Comment
from dmtrigger.models import Refusal


@admin.register(Refusal)
class RefusalAdmin(CsvExport, ReadOnlyAdmin):
    list_display = ("rule", "reason", "comment", "campaign", "at")
    list_filter = ("rule",)  # which has an index
    list_select_related = ("campaign",)
    list_display_links = None
    search_fields = ("comment_id",)
    search_help_text = "The comment's whole id on the platform."
    ordering = ("-id",)
    actions = ("export_as_csv",)
    export_fields = ("id", "rule", "reason", "comment_id", "campaign__name", "at")
    fields = ("rule", "reason", "comment", "campaign", "at")
    readonly_fields = ("comment",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Refusal]:
        text = Comment.objects.filter(pk=OuterRef("comment_id")).values("text")
        rows: QuerySet[Refusal] = super().get_queryset(request)
        return rows.annotate(text=Subquery(text))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Refusal], search_term: str
    ) -> tuple[QuerySet[Refusal], bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(comment_id__in=ids_of(search_term)), False

    @admin.display
    def comment(self, refusal: Any) -> str:
        if refusal.text is None:
            return "(no longer kept)"
        page = reverse("admin:comments_comment_change", args=[refusal.comment_id])
        return format_html('<a href="{}">{}</a>', page, Truncator(refusal.text).chars(80))
