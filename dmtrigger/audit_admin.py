"""The audit log in the admin, and the edits that go into it."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from comments.admin import FirstRows, ReadOnlyAdmin, WithinAccounts
from dmtrigger import audit, people
from dmtrigger.models import Account, AuditEntry, Person


class Audited(WithinAccounts):
    """Has what is added, changed and deleted on its pages noted in the audit log."""

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> LogEntry:
        self._note(request, "add", obj, message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> LogEntry:
        self._note(request, "change", obj, message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for obj in queryset:
            self._note(request, "delete", obj, [])
        return super().log_deletions(request, queryset)

    def _note(self, request: HttpRequest, action: str, obj: Model, message: Any) -> None:
        audit.note_edit(request.user.get_username(), action, obj, message)


class ActionFilter(admin.SimpleListFilter):
    """By what was done; offers what was done lately."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        latest = FirstRows.of(AuditEntry.objects.order_by("-pk")).values("pk")
        actions = AuditEntry.objects.filter(pk__in=latest).values_list("action", flat=True)
        return [(action, action) for action in sorted(set(actions.distinct()))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what to what."""

    list_display = ("at", "actor", "action", "target", "details")
    list_filter = (ActionFilter,)
    search_fields = ("target",)
    search_help_text = "What it was done to (message 12), or a person's whole user name."
    ordering = ("-id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        if not search_term:
            return queryset, False
        targets = [search_term]
        for source in _sources():
            targets += [f"person {found}" for found in people.pseudonyms(source, search_term)]
        return queryset.filter(target__in=targets), False


def _sources() -> set[str]:
    """The platforms that people are of."""
    known = (model.objects.values_list("source", flat=True) for model in (Account, Person))
    return {settings.COMMENT_SOURCE}.union(*(rows.distinct() for rows in known))
