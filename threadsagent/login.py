"""The console's login, in which guessing a password or a code takes for ever."""

from datetime import timedelta
from typing import Any

import throttled
from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from threadsagent import throttling, two_factor
from threadsagent.models import User

ATTEMPTS = throttled.per_duration(timedelta(minutes=10), 10)
"""For a user name, whoever tries: at once, and then as they come back, one a minute."""

ATTEMPTS_FROM_ADDRESS = throttled.per_duration(timedelta(minutes=10), 100)
"""From an address, whatever the names: few passwords for many names are guesses as well. Many
colleagues may sign in from one address at nine o'clock."""


def take_attempt(username: str) -> None:
    """Take one of a user name's attempts. Raises ValidationError when there is none."""
    _take("login", username, ATTEMPTS, "with this user name")


def _take_attempt_from(request: HttpRequest) -> None:
    if address := throttling.client_address(request):
        _take("login_address", address, ATTEMPTS_FROM_ADDRESS, "from where you are")


def _take(limit: str, whose: str, rate: throttled.Quota, which: str) -> None:
    bucket = throttling.take(limit, whose, rate)
    if bucket is not None and not bucket.passed:
        raise ValidationError(
            f"Too many attempts to sign in {which}. "
            f"Try again in {bucket.wait} s; trying earlier does not make it longer."
        )


class LoginForm(AdminAuthenticationForm):
    """Each attempt takes one of the user name's, before the password is looked at.

    By name first of all, since who guesses has many addresses. Names that nobody has are limited as
    well, so that they cannot be told from others. An address that had its attempts costs no name
    one.
    """

    def clean(self) -> dict[str, Any]:
        """Refuse the attempt that is one too many, whatever its password."""
        if self.request is not None:
            _take_attempt_from(self.request)
        if username := self.cleaned_data.get("username"):
            take_attempt(username)
        return super().clean()


class CodeForm(forms.Form):
    """A code of the authenticator app, or a recovery code. Each takes an attempt as a password
    does, before it is looked at."""

    code = forms.CharField(
        max_length=40,
        widget=forms.TextInput(
            {"autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false"}
        ),
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        take_attempt(self.user.get_username())
        self.check(code)
        return code

    def check(self, code: str) -> None:
        """Raises ValidationError."""
        two_factor.check(self.user, code)


class SecondStep(LoginView):
    """Asks who gave their password for a code; then the session is theirs."""

    template_name = "admin/second_step.html"
    user: Any = None  # who it is; given to `as_view`

    def get_form(self, form_class: Any = None) -> Any:
        return CodeForm(self.user, self.request.POST if self.request.method == "POST" else None)

    def form_valid(self, form: Any) -> HttpResponse:
        two_factor.pass_session(self.request, self.user)
        return HttpResponseRedirect(self.get_success_url())
