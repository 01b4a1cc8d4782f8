"""Analysed comments in the admin. The reviews' console is in `dmtrigger.admin`: deciding one needs
to show the message that would go out."""

from django.contrib import admin

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
    list_filter = ("label", "band", "model_version")
    list_select_related = ("comment",)
    ordering = ("-comment_id",)
    show_full_result_count = False
