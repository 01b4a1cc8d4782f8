"""An authenticator app, as a user has it on the phone."""

from base64 import b32decode

from django_otp.oath import TOTP

from threadsagent import two_factor
from threadsagent.models import Authenticator, User


def code_of(user: User) -> str:
    """The code that the user's app shows now, as if none had been used."""
    device = Authenticator.objects.get(user=user)
    Authenticator.objects.filter(pk=device.pk).update(last_t=-1)
    return f"{TOTP(b32decode(device.secret)).token():06}"


def wrong_code_of(user: User) -> str:
    """One that the app shows neither now nor a moment before or after."""
    totp = TOTP(b32decode(Authenticator.objects.get(user=user).secret), drift=-100)
    return f"{totp.token():06}"


def turn_on(user: User) -> list[str]:
    """Two-factor login for the user; the recovery codes."""
    two_factor.begin(user)
    return two_factor.confirm(user, code_of(user))
