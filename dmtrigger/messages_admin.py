"""Messages in the operators' console: what became of each."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from comments.admin import FirstRows, ReadOnlyAdmin, ids_of
from dmtrigger import outbox
from dmtrigger.models import DeliveryAttempt, DirectMessage


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
        "post_id",
        "attempts",
        "created_at",
        "sent_at",
        "last_error",
    )
    list_filter = ("state", "campaign")
    list_select_related = ("campaign",)
    search_fields = ("external_id",)
    search_help_text = "The comment's whole id on the platform."
    ordering = ("-id",)
    inlines = (DeliveryAttemptInline,)
    actions = ("was_delivered", "was_not_delivered")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DirectMessage], search_term: str
    ) -> tuple[QuerySet[DirectMessage], bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(comment_id__in=ids_of(search_term)), False

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("dmtrigger.settle_directmessage")

    @admin.action(description="Unknown outcome: it was delivered", permissions=["settle"])
    def was_delivered(self, request: HttpRequest, queryset: QuerySet[DirectMessage]) -> None:
        self._settle(request, queryset, delivered=True)

    @admin.action(description="Unknown outcome: it was not, send it again", permissions=["settle"])
    def was_not_delivered(self, request: HttpRequest, queryset: QuerySet[DirectMessage]) -> None:
        self._settle(request, queryset, delivered=False)

    def _settle(
        self, request: HttpRequest, queryset: QuerySet[DirectMessage], *, delivered: bool
    ) -> None:
        for message in FirstRows.of(queryset):
            try:
                settled = outbox.settle(
                    message.pk, delivered=delivered, by=request.user.get_username()
                )
            except outbox.NotUnknown as problem:
                messages.error(request, str(problem))
            else:
                self.log_change(request, settled, f"settled: {settled.state}")
                messages.success(request, str(settled))
