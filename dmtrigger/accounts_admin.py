"""The accounts that send, in the operators' console: their limits, how busy they are, pauses."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.db.models import QuerySet
from django.http import HttpRequest

from dmtrigger import pacing
from dmtrigger.audit_admin import Audited
from dmtrigger.models import Account
from dmtrigger.pacing import Load
from dmtrigger.page_buttons import PageButtons
from dmtrigger.senders import senders


class AccountList(ChangeList):
    """Asks how busy the accounts of a whole page are at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        page = list(self.result_list)
        loads = pacing.load(page, senders())
        for account in page:
            account.load = loads[account.pk]
        self.result_list = page


@admin.register(Account)
class AccountAdmin(PageButtons, Audited):
    """Limits and user names are edited here; pauses come and go by themselves, or are ended."""

    list_display = ("account", "limit", "slots", "waiting", "until", "paused", "usage")
    ordering = ("source", "name")
    sortable_by = ()
    edited = ("usernames", "hourly_limit")
    seen = ("limit", "slots", "waiting", "until", "paused", "usage")
    actions = ("resume",)

    class Media:
        css = {"all": ("dmtrigger/console.css",)}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # messages name it

    def has_resume_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("dmtrigger.resume_account")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return AccountList

    def get_fields(self, request: HttpRequest, obj: Account | None = None) -> Any:
        return ("source", "name", *self.edited, *(self.seen if obj else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> Any:
        return ("source", "name", *self.seen) if obj else ()  # comments name it so

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: bool) -> None:
        """Of an account that there is, save what was edited only: it may have been paused since."""
        obj.save(update_fields=self.edited if change else None)

    def buttons(self, row: Account) -> Sequence[str]:
        return ("resume",) if row.paused_until or row.usage_at else ()

    @admin.action(description="Resume: send again now", permissions=["resume"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        for account in queryset:
            pacing.resume(account, request.user.get_username())
            # not `Audited`'s: `pacing` has put it into the audit log already
            super(Audited, self).log_change(request, account, "Resumed")
            messages.success(request, f"Resumed: {account}")

    # --- what is shown ---

    @admin.display(description="account")
    def account(self, account: Account) -> str:
        return str(account)

    @admin.display(description="limit an hour")
    def limit(self, account: Account) -> str:
        limit = _load(account).limit
        return "none" if limit is None else f"{limit:,}"

    @admin.display(description="sent this hour")
    def slots(self, account: Account) -> str:
        return f"{_load(account).slots_used:,}"

    @admin.display(description="waiting")
    def waiting(self, account: Account) -> str:
        return f"{_load(account).waiting:,}"

    @admin.display(description="the last of them leaves")
    def until(self, account: Account) -> str:
        until = _load(account).until
        return naturaltime(until) if until else ""

    @admin.display(description="paused")
    def paused(self, account: Account) -> str:
        if not pacing.is_paused(account):
            return ""
        return f"until {account.paused_until:%Y-%m-%d %H:%M}: {account.pause_reason}"

    @admin.display(description="platform's limit used")
    def usage(self, account: Account) -> str:
        if account.usage_percent is None or account.usage_at is None:
            return ""
        return f"{account.usage_percent:.0f} % ({naturaltime(account.usage_at)})"


def _load(account: Any) -> Load:
    """As the list has found it, or for the account's own page."""
    if not hasattr(account, "load"):
        account.load = pacing.load([account], senders())[account.pk]
    load: Load = account.load
    return load
