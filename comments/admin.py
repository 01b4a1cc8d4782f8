"""Comments and monitors in the admin; a comment is what a stranger wrote, so it is never edited."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from comments.models import Comment, Monitor


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """For tables that one module of the program writes: people look, and change nothing."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Comment)
class CommentAdmin(ReadOnlyAdmin):
    list_display = ("text", "author", "post_id", "source", "posted_at", "analyzed_at")
    search_fields = ("external_id", "author", "post_id")
    ordering = ("-id",)
    show_full_result_count = False


@admin.register(Monitor)
class MonitorAdmin(admin.ModelAdmin[Monitor]):
    list_display = (
        "post_id",
        "source",
        "is_active",
        "comments_processed",
        "last_processed",
        "error_count",
    )
    polled_fields = ("cursor", "comments_processed", "last_processed", "error_count", "last_error")

    def get_readonly_fields(self, request: HttpRequest, obj: Monitor | None = None) -> Any:
        # The cursor is a place in this post's comments; another post is another monitor.
        return ("source", "post_id", *self.polled_fields) if obj else self.polled_fields

    def save_model(self, request: HttpRequest, obj: Monitor, form: Any, change: bool) -> None:
        """Save what was edited only: a poll may have moved the rest on meanwhile."""
        obj.save(update_fields=form.changed_data if change else None)
