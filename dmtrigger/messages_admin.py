"""Messages in the operators' console: what became of each, and what can still be done about it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator

from comments.admin import CsvExport, FirstRows, NewestFirst, ReadOnlyAdmin, SeenOnly, ids_of
from comments.came_in import CameIn
from dmtrigger import outbox, pacing
from dmtrigger.models import DeliveryAttempt, DirectMessage, MessageEvent
from dmtrigger.page_buttons import PageButtons
from dmtrigger.senders import senders
from dmtrigger.states import State


class MessageEventInline(admin.TabularInline[MessageEvent, DirectMessage]):
    model = MessageEvent
    verbose_name_plural = "history"
    fields = ("at", "state", "detail", "by")
    ordering = ("pk",)
    extra = 0


class DeliveryAttemptInline(admin.TabularInline[DeliveryAttempt, DirectMessage]):
    model = DeliveryAttempt
    verbose_name_plural = "attempts"
    fields = ("number", "started_at", "finished_at", "outcome", "detail", "takes_slot")
    ordering = ("number",)
    extra = 0


class MessageList(NewestFirst):
    """Asks for the expected times of a whole page at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        page = list(self.result_list)
        times = pacing.expected(page, senders())
        for message in page:
            message.leaves_at = times.get(message.pk)
        self.result_list = page


@admin.register(DirectMessage)
class DirectMessageAdmin(PageButtons, CsvExport, ReadOnlyAdmin):
    """Nobody edits a message; one that waits can be taken back, one in doubt be settled."""

    list_display = (
        "recipient",
        "state",
        "when",
        "of_campaign",
        "post_id",
        "attempts",
        "problem",
    )
    list_filter = ("state", ("campaign", SeenOnly), ("comment_id", CameIn))
    list_select_related = ("campaign", "account")
    search_fields = ("external_id",)
    search_help_text = "The comment's whole id on the platform."
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("recipient", "state", "text", "link")}),
        ("When", {"fields": ("created_at", "leaves", "expires_at", "sent_at")}),
        (
            "Why",
            {"fields": ("reason", "comment", "review", "campaign", "variant", "model_version")},
        ),
        (
            "How",
            {
                "fields": (
                    *("account", "channel", "sender", "attempts", "last_error"),
                    "platform_message_id",
                )
            },
        ),
    )
    readonly_fields = ("leaves", "comment")
    inlines = (MessageEventInline, DeliveryAttemptInline)
    actions = ("cancel", "was_delivered", "was_not_delivered", "export_as_csv")
    export_fields = (
        *("id", "state", "recipient", "source", "account__name", "post_id", "external_id"),
        *("campaign__name", "variant__name", "channel", "text", "link", "reason", "score"),
        *("model_version", "created_at", "sent_at", "expires_at", "attempts", "last_error"),
    )

    class Media:
        css = {"all": ("dmtrigger/console.css",)}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return MessageList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DirectMessage], search_term: str
    ) -> tuple[QuerySet[DirectMessage], bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(comment_id__in=ids_of(search_term)), False

    # --- what can be done ---

    def buttons(self, row: DirectMessage) -> Sequence[str]:
        if row.state == State.UNKNOWN:
            return ("was_delivered", "was_not_delivered")
        return ("cancel",) if row.state == State.PENDING else ()

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("dmtrigger.cancel_directmessage")

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("dmtrigger.settle_directmessage")

    @admin.action(description="Take back: do not send it", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[DirectMessage]) -> None:
        self._each(request, queryset, "taken back", outbox.cancel)

    @admin.action(description="Unknown outcome: it was delivered", permissions=["settle"])
    def was_delivered(self, request: HttpRequest, queryset: QuerySet[DirectMessage]) -> None:
        self._settle(request, queryset, delivered=True)

    @admin.action(description="Unknown outcome: it was not, send it again", permissions=["settle"])
    def was_not_delivered(self, request: HttpRequest, queryset: QuerySet[DirectMessage]) -> None:
        self._settle(request, queryset, delivered=False)

    def _settle(
        self, request: HttpRequest, queryset: QuerySet[DirectMessage], *, delivered: bool
    ) -> None:
        def settle(message_id: int, by: str) -> DirectMessage:
            return outbox.settle(message_id, delivered=delivered, by=by)

        self._each(request, queryset, "settled", settle)

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[DirectMessage],
        done: str,
        change: Callable[[int, str], DirectMessage],
    ) -> None:
        """Change one after the other; what cannot be changed any more is named."""
        for message in FirstRows.of(queryset):
            try:
                changed = change(message.pk, request.user.get_username())
            except (outbox.NotUnknown, outbox.NotWaiting) as problem:
                messages.error(request, str(problem))
            else:
                self.log_change(request, changed, f"{done}: {changed.state}")
                messages.success(request, str(changed))

    # --- what is shown ---

    @admin.display(description="campaign")
    def of_campaign(self, message: DirectMessage) -> str:
        return str(message.campaign)

    @admin.display(description="when")
    def when(self, message: Any) -> str:
        """When it was sent or is expected to leave; empty where it does not by itself."""
        if message.sent_at is not None:
            return f"sent {naturaltime(message.sent_at)}"
        return f"leaves {naturaltime(message.leaves_at)}" if message.leaves_at else ""

    @admin.display(description="leaves about")
    def leaves(self, message: DirectMessage) -> datetime | None:
        """The same for its own page."""
        return pacing.expected([message], senders()).get(message.pk)

    @admin.display(description="comment")
    def comment(self, message: DirectMessage) -> str:
        page = reverse("admin:comments_comment_change", args=[message.comment_id])
        return format_html('<a href="{}">{}</a>', page, message.external_id)

    @admin.display(description="last error")
    def problem(self, message: DirectMessage) -> str:
        return Truncator(message.last_error).chars(80)
