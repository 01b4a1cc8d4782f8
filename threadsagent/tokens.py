"""Tokens of the API, what they are limited to, and when they were used.

The only writer of `TokenLimits`.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.models import AuthToken

from threadsagent.models import TokenLimits, User

NOTED_EVERY = timedelta(minutes=5)


@transaction.atomic
def issue(user: User, scopes: Collection[str] | None, lasts: timedelta) -> tuple[AuthToken, str]:
    """A new token and its key, which nobody can read again. Without scopes (None) it may do all
    that its user may."""
    token, key = AuthToken.objects.create(user, expiry=lasts)
    TokenLimits.objects.create(token=token, scopes=None if scopes is None else sorted(scopes))
    return token, key


def scopes_of(token: AuthToken) -> list[str] | None:
    """What the token is limited to. None: it may do all that its user may."""
    limits = _limits_of(token)
    return limits.scopes if limits else None


def last_used(token: AuthToken) -> datetime | None:
    """When somebody called with it last, to a few minutes; None: never, since this is noted."""
    limits = _limits_of(token)
    return limits.last_used_at if limits else None


def note_use(token: AuthToken) -> None:
    """Now; written at most once in some minutes, since a busy client calls all the time."""
    limits, now = _limits_of(token), timezone.now()
    if limits is None:
        TokenLimits.objects.get_or_create(token=token, defaults={"last_used_at": now})
    elif limits.last_used_at is None or limits.last_used_at < now - NOTED_EVERY:
        TokenLimits.objects.filter(token=token).update(last_used_at=now)


def _limits_of(token: AuthToken) -> TokenLimits | None:
    """Asked once: Django keeps it with the token, also that there is none."""
    limits: TokenLimits | None = getattr(token, "limits", None)
    return limits


class TokenAuthentication(KnoxTokenAuthentication):  # type: ignore[misc]  # knox has no types
    """Knox's, which notes that the token was used."""

    def validate_user(self, auth_token: AuthToken) -> tuple[User, AuthToken]:
        user, token = super().validate_user(auth_token)
        note_use(token)
        return user, token
