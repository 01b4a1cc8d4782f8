"""The console's login, in which guessing a password takes for ever."""

from datetime import timedelta
from typing import Any

import throttled
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from threadsagent import throttling

ATTEMPTS = throttled.per_duration(timedelta(minutes=10), 10)
"""For a user name, whoever tries: at once, and then as they come back, one a minute."""


class LoginForm(AdminAuthenticationForm):
    """Each attempt takes one of the user name's, before the password is looked at.

    By name and not by address: behind a proxy all have the same one, and who guesses has many.
    Names that nobody has are limited as well, so that they cannot be told from others.
    """

    def clean(self) -> dict[str, Any]:
        """Refuse the attempt that is one too many, whatever its password."""
        username = self.cleaned_data.get("username")
        bucket = throttling.take("login", username, ATTEMPTS) if username else None
        if bucket is not None and not bucket.passed:
            raise ValidationError(
                "Too many attempts to sign in with this user name. "
                f"Try again in {bucket.wait} s; trying earlier does not make it longer."
            )
        return super().clean()
