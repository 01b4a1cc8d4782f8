"""The console's page on which one turns two-factor login on and off for oneself."""

from typing import Any, cast

import segno
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from threadsagent import two_factor
from threadsagent.login import CodeForm
from threadsagent.models import User

PAGE = "admin:two_factor"


class ConfirmForm(CodeForm):
    """The first code of an app, which turns two-factor login on; `recovery` is shown once."""

    recovery: list[str]

    def check(self, code: str) -> None:
        self.recovery = two_factor.confirm(self.user, code)


class TurnOffForm(CodeForm):
    """A code, or the password, of who turns it off."""

    code = forms.CharField(
        label="A code, or your password",
        widget=forms.PasswordInput({"autocomplete": "off"}),
        strip=False,
    )

    def check(self, code: str) -> None:
        if not self.user.check_password(code):
            super().check(code)


@never_cache
@sensitive_post_parameters()
def page(request: HttpRequest) -> HttpResponse:
    """One's own two-factor login: turn it on, have the recovery codes once, turn it off.

    Also for who must have it and has it not yet, and so sees no other page.
    """
    user = _who(request)
    if user is None:
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    said = request.POST if request.method == "POST" else None
    do = said.get("do") if said else None
    confirm = ConfirmForm(user, said if do == "confirm" else None)
    off = TurnOffForm(user, said if do == "off" else None)
    if do == "begin":
        two_factor.begin(user)
        return redirect(PAGE)
    if confirm.is_valid():
        two_factor.pass_session(request, user)
        return _show(request, user, recovery=confirm.recovery)
    if off.is_valid():
        two_factor.turn_off(user, by=user)
        messages.success(request, "Two-factor login is off.")
        return redirect(PAGE)
    return _show(request, user, confirm=confirm, off=off)


def _who(request: HttpRequest) -> User | None:
    """Who may be here: who gave the second step, if they have one."""
    user = two_factor.awaited(request)
    if user is None:
        return cast(User, request.user) if admin.site.has_permission(request) else None
    return user if two_factor.find(user) is None else None


def _show(request: HttpRequest, user: User, **context: Any) -> HttpResponse:
    new = two_factor.find(user, confirmed=False)
    if new is not None:
        address = two_factor.address_of(new)
        # on white in the dark as well: not every camera reads it the other way round
        context["picture"] = segno.make_qr(address).svg_data_uri(scale=5, light="white")
        context["secret"] = [new.secret[at : at + 4] for at in range(0, len(new.secret), 4)]
    return TemplateResponse(
        request,
        "admin/two_factor.html",
        admin.site.each_context(request)
        | {
            "title": "Two-factor login",
            "is_on": two_factor.find(user) is not None,
            "must": not request.user.is_authenticated,
            "left": two_factor.codes_left(user),
        }
        | context,
    )
