"""Analysed comments in the admin. The reviews' console is in `dmtrigger.admin`: deciding one needs
to show the message that would go out."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from comments.admin import ReadOnlyAdmin
from intents.models import IntentResult


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

    def get_queryset(self, request: HttpRequest) -> QuerySet[IntentResult]:
        """Not joined: PostgreSQL would go through all the comments between two of a rare label."""
        return super().get_queryset(request).prefetch_related("comment")
