"""The actions of a list as buttons on a row's own page as well."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse


class PageButtons(admin.ModelAdmin[Any]):
    """A row's page offers those of the list's actions that make sense for it.

    The buttons post to the list, which checks the permission of each action as ever.
    """

    change_form_template = "admin/dmtrigger/with_buttons.html"

    def buttons(self, row: Any) -> Sequence[str]:
        """The names of the actions that make sense for this row."""
        raise NotImplementedError

    def about(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What else the page shows."""
        return {}

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        more: dict[str, Any] = {}
        if row is not None and self.has_view_or_change_permission(request, row):
            allowed = {
                name: said for _do, name, said in filter(None, self.get_actions(request).values())
            }
            names = [name for name in self.buttons(row) if name in allowed]
            more = self.about(request, row) | {
                "buttons": [(name, allowed[name]) for name in names],
                "list_url": reverse(f"admin:{self._page('changelist')}"),
            }
        return super().change_view(request, object_id, form_url, (extra_context or {}) | more)

    def response_action(self, *args: Any, **kwargs: Any) -> HttpResponse | None:
        """Back to the page whose button was pressed."""
        answer = super().response_action(*args, **kwargs)
        pk = args[0].POST.get("from_page", "")
        if isinstance(answer, HttpResponseRedirect) and pk.isdecimal():
            return redirect(f"admin:{self._page('change')}", pk)
        return answer

    def _page(self, kind: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{kind}"
