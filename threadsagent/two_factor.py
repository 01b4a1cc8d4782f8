"""Two-factor login. The only writer of `Authenticator` and `RecoveryCodes`.

Who has an authenticator gives a code after the password. Until then their session is nobody's, for
every page and for the API (`threadsagent.middleware.require_second_step`).
"""

import math
import secrets
from base64 import b32encode
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django_otp.models import Device

from dmtrigger import audit
from threadsagent.models import Authenticator, RecoveryCodes, User

PASSED = "second_step"  # in a session: the authenticator for which a code was given
ISSUER = "ThreadsAgent"
WRONG = "This code is not right, or not any more: each is taken once."
RECOVERY_CODES = 10
RECOVERY_CODE_LENGTH = 16  # letters of base32: 80 bits


# --- whose session it is ----------------------------------------------------------------------


def has_passed(user: User | AnonymousUser, session: SessionBase) -> bool:
    """Whether a session's user gave all that they must. `user` is as our backend finds them."""
    if not user.is_authenticated:
        return True
    needed: int | None = user.second_step  # type: ignore[attr-defined]  # the backend's annotation
    return not settings.REQUIRE_TWO_FACTOR if needed is None else session.get(PASSED) == needed


def awaited(request: HttpRequest) -> User | None:
    """Which member of staff gave their password in this session, and has a second step to do."""
    user = auth.get_user(request)
    if request.user.is_authenticated or not user.is_authenticated:
        return None
    return user if user.is_staff else None


def pass_session(request: HttpRequest, user: User) -> None:
    """The second step is done: the session is the user's, with a key that nobody saw before."""
    device = find(user)
    request.session[PASSED] = device and device.pk
    request.session.cycle_key()
    request.user = user


# --- turning it on and off --------------------------------------------------------------------


def find(user: User, *, confirmed: bool = True) -> Authenticator | None:
    """The user's authenticator; one that is not confirmed yet counts for nothing."""
    return Authenticator.objects.filter(user=user, confirmed=confirmed).first()


def codes_left(user: User) -> int:
    """How many recovery codes the user has not used."""
    device = RecoveryCodes.objects.filter(user=user).first()
    return len(device.hashes) if device else 0


@transaction.atomic
def begin(user: User) -> None:
    """Give the user a new secret, to be confirmed by a code; not in place of a confirmed one."""
    secret = b32encode(secrets.token_bytes(20)).decode()
    said = {"secret": secret, "name": "authenticator app", "confirmed": False}
    locked = Authenticator.objects.select_for_update()
    device, is_new = locked.get_or_create(user=user, defaults=said)
    if not is_new and not device.confirmed:
        device.secret = secret
        device.save(update_fields=["secret"])


def address_of(device: Authenticator) -> str:
    """What the QR code says to the app."""
    label = quote(f"{ISSUER}:{device.user.get_username()}")
    said = urlencode({"secret": device.secret, "issuer": ISSUER})
    return f"otpauth://totp/{label}?{said}"


def confirm(user: User, code: str) -> list[str]:
    """Turn it on, if the app shows this code: the recovery codes, which nobody can read again.
    Raises ValidationError."""
    codes = [_new_code() for _ in range(RECOVERY_CODES)]
    with transaction.atomic():
        locked = Authenticator.objects.select_for_update()
        device = locked.filter(user=user, confirmed=False).first()
        problem = _take(device, _plain(code))
        if device is not None and not problem:
            device.confirmed = True
            device.save(update_fields=["confirmed"])
            hashes = [RecoveryCodes.hash_of(_plain(code)) for code in codes]
            said = {"hashes": hashes, "name": "recovery codes"}
            RecoveryCodes.objects.update_or_create(user=user, defaults=said)
            audit.record(user.get_username(), "turn on two-factor login", f"user {user.pk}")
    # Out here: an error within would undo that the wrong code was counted.
    if problem:
        raise ValidationError(problem)
    return codes


@transaction.atomic
def turn_off(user: User, by: User) -> bool:
    """Let the password do from now on; whether it was on. `by` may be who resets another's."""
    gone, _ = Authenticator.objects.filter(user=user, confirmed=True).delete()
    RecoveryCodes.objects.filter(user=user).delete()
    if gone:
        audit.record(by.get_username(), "turn off two-factor login", f"user {user.pk}")
    return bool(gone)


# --- codes ------------------------------------------------------------------------------------


def check(user: User, code: str) -> None:
    """Take a code, one of the app or a recovery code. Raises ValidationError.

    Each is tried with its own device only: wrong codes of the one hold up nobody who has the other.
    """
    plain = _plain(code)
    kind = RecoveryCodes if len(plain) == RECOVERY_CODE_LENGTH else Authenticator
    with transaction.atomic():
        device = kind.objects.select_for_update().filter(user=user, confirmed=True).first()
        problem = _take(device, plain)
        if kind is RecoveryCodes and not problem:
            audit.record(user.get_username(), "use recovery code", f"user {user.pk}")
    if problem:
        raise ValidationError(problem)


def _take(device: Device | None, code: str) -> str:
    """Take a code of a locked device; what is wrong with it, or nothing."""
    if device is None:
        return WRONG
    why: dict[str, Any] | None
    _allowed, why = device.verify_is_allowed()
    if why is not None:
        wait = math.ceil((why["locked_until"] - timezone.now()).total_seconds())
        return f"Too soon after a wrong code. Try again in {max(1, wait)} s."
    return "" if device.verify_token(code) else WRONG


def _new_code() -> str:
    letters = b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(letters[at : at + 4] for at in range(0, RECOVERY_CODE_LENGTH, 4))


def _plain(code: str) -> str:
    """Without what people put between."""
    return "".join(code.split()).replace("-", "").lower()
