"""Comments and monitors in the admin; a comment is what a stranger wrote, so it is never edited."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property

from comments import monitors, posts
from comments.came_in import CameIn
from comments.csv_export import BYTE_ORDER_MARK, as_csv
from comments.models import Comment, Monitor, SeenComment
from comments.scope import EVERY, Scope, scope_of

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=Model)

SEARCH_HELP = "A post, an author or a comment: the whole id or name, as on the platform."


class FirstRows(Paginator[Any]):
    """Pages of the first 10,000 rows: to count the others, each view would read them all.

    An action on a list with these pages takes `FirstRows.of` its rows, and so no more than the
    page counts when it offers to select them all.
    """

    object_list: QuerySet[Any]
    most = 10_000

    @cached_property
    def count(self) -> int:
        return self.of(self.object_list.order_by()).count()

    @classmethod
    def of(cls, rows: QuerySet[Row]) -> QuerySet[Row]:
        return rows[: cls.most]


class NewestFirst(ChangeList):
    """A list by its key, the highest first; what `FirstRows` leaves out begins at a key as well."""

    def is_cut(self) -> bool:
        """Whether there may be more rows than are counted."""
        return bool(self.result_count >= FirstRows.most)

    def older(self) -> str | None:
        """On the last page: the query string of the rows below it, if there are any."""
        if not self.is_cut() or self.page_num != self.paginator.num_pages:
            return None
        *_, last = self.result_list
        below = {f"{self.lookup_opts.pk.attname}__lt": last.pk}
        if not self.queryset.filter(**below).exists():
            return None
        return self.get_query_string(below, remove=[PAGE_VAR])


def ids_of(external_id: str) -> list[int]:
    """Our ids of the comments that have this id on a platform."""
    known = SeenComment.objects.filter(external_id=external_id)
    return list(known.values_list("comment_id", flat=True))


def matching(term: str) -> Q:
    """Comments of a post, by an author, or with an id on a platform.

    Each has its index; to look for a part of a word would read every comment.
    """
    return Q(pk__in=ids_of(term)) | Q(post_id=term) | Q(author=term)


class WithinAccounts(admin.ModelAdmin[Any]):
    """Shows and offers what is of the accounts that the user sees, and nothing else."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return scope_of(request.user).narrow(super().get_queryset(request))

    def get_field_queryset(
        self, db: str | None, db_field: Any, request: HttpRequest
    ) -> QuerySet[Any] | None:
        """What may be chosen for a foreign key."""
        scope, rows = scope_of(request.user), super().get_field_queryset(db, db_field, request)
        if scope.is_whole:
            return rows
        every = db_field.remote_field.model._default_manager.all()
        return scope.narrow(every if rows is None else rows)


class SeenOnly(admin.RelatedFieldListFilter):
    """A filter by a foreign key that offers what the user sees."""

    def field_choices(
        self, field: Any, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> Any:
        scope = scope_of(request.user)
        if scope.is_whole:
            return super().field_choices(field, request, model_admin)
        rows = scope.narrow(field.remote_field.model._default_manager.all())
        order = self.field_admin_ordering(field, request, model_admin)
        return [(str(row.pk), str(row)) for row in rows.order_by(*order)]


class ReadOnlyAdmin(WithinAccounts):
    """For big tables that one module of the program writes: people look, and change nothing.

    They come in the order of their key only: by any other a page would read the whole table.
    """

    paginator = FirstRows
    show_full_result_count = False
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NewestFirst

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class CsvExport(WithinAccounts):
    """A list with the action *Export as CSV*: of the ticked rows."""

    export_fields: tuple[str, ...] = ()

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_as_csv(self, request: HttpRequest, queryset: QuerySet[Model]) -> HttpResponse:
        rows = list(FirstRows.of(queryset).values_list(*self.export_fields))
        name = str(self.opts.verbose_name_plural)
        logger.info(
            "rows exported",
            extra={"user": request.user.get_username(), "what": name, "rows": len(rows)},
        )
        content = BYTE_ORDER_MARK + as_csv(self.export_fields, rows)
        response = HttpResponse(content, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{name.replace(" ", "-")}.csv"'
        return response


@admin.register(Comment)
class CommentAdmin(CsvExport, ReadOnlyAdmin):
    list_display = ("text", "author", "post_id", "source", "posted_at", "analyzed_at")
    list_filter = (("id", CameIn),)
    search_fields = ("external_id", "author", "post_id")
    search_help_text = SEARCH_HELP
    ordering = ("-id",)
    actions = ("export_as_csv",)
    export_fields = (
        *("id", "source", "account", "external_id", "post_id", "author", "text"),
        *("posted_at", "created_at", "analyzed_at"),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Comment], search_term: str
    ) -> tuple[QuerySet[Comment], bool]:
        return (queryset.filter(matching(search_term)) if search_term else queryset), False


class MonitorForm(forms.ModelForm[Monitor]):
    """Which post is watched; `scope` is what the user sees."""

    scope: Scope

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        asked = (said.get("source", ""), said.get("account", ""), said.get("post_id", ""))
        if problem := posts.refusal(self.scope, *asked):
            raise forms.ValidationError(f"Not watched: {problem}.")
        return said


@admin.register(Monitor)
class MonitorAdmin(WithinAccounts):
    """Watch a post, change how often; starting and stopping are actions of the list."""

    list_display = (
        "post_id",
        "source",
        "task_id",
        "status",
        "next_poll",
        "comments_processed",
        "last_processed",
        "error_count",
        "last_error",
    )
    list_filter = ("status", "source")
    search_fields = ("post_id", "task_id")
    ordering = ("-id",)
    form = MonitorForm
    fields = ("source", "post_id", "account", "interval_seconds")
    polled_fields = (
        "task_id",
        "status",
        "next_poll",
        "comments_processed",
        "last_processed",
        "error_count",
        "last_error",
        "cursor",
        "created_at",
    )
    actions = ("start_selected", "stop_selected")

    def get_fields(self, request: HttpRequest, obj: Monitor | None = None) -> Any:
        return (*self.fields, *self.polled_fields) if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Monitor | None = None) -> Any:
        # The cursor is a place in this post's comments; another post is another monitor.
        return ("source", "post_id", "account", *self.polled_fields) if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Monitor | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        # the class is made for this request; whose the post is cannot be changed
        form.scope = EVERY if obj else scope_of(request.user)
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"source": settings.COMMENT_SOURCE} | super().get_changeform_initial_data(request)

    def save_model(self, request: HttpRequest, obj: Monitor, form: Any, change: bool) -> None:
        """Of a monitor that there is, save the interval only: a poll may have moved the rest on."""
        if change:
            monitors.set_interval(obj, obj.interval_seconds)
        else:
            obj.save()

    @admin.action(description="Start: poll at once", permissions=["change"])
    def start_selected(self, request: HttpRequest, queryset: QuerySet[Monitor]) -> None:
        self._do(request, queryset, monitors.resume, "Started")

    @admin.action(description="Stop: poll no more", permissions=["change"])
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[Monitor]) -> None:
        self._do(request, queryset, monitors.stop, "Stopped")

    def _do(
        self,
        request: HttpRequest,
        queryset: QuerySet[Monitor],
        action: Callable[[Monitor], bool],
        done: str,
    ) -> None:
        changed = [monitor for monitor in queryset if action(monitor)]
        for monitor in changed:
            self.log_change(request, monitor, done)
        messages.info(request, f"{done}: {len(changed)}")

    @admin.display(description="next poll", ordering="next_poll_at")
    def next_poll(self, monitor: Monitor) -> datetime | None:
        return None if monitor.status == Monitor.Status.STOPPED else monitor.next_poll_at
