"""Those who use the console and the API, and what they sign in with."""

import time
from base64 import b32decode
from hashlib import sha256
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.functional import cached_property
from django_otp.models import Device, ThrottlingMixin
from django_otp.oath import TOTP
from encrypted_fields.fields import EncryptedCharField
from knox.models import AuthToken

from comments.scope import EVERY, Scope, Seen
from dmtrigger.models import Account


class User(AbstractUser):
    """Django's user, who may see some of the brand's accounts only."""

    every_account = models.BooleanField(
        default=True, help_text="sees every account, also those that are still to come"
    )
    accounts = models.ManyToManyField(
        Account,
        blank=True,
        related_name="+",
        help_text="otherwise only these accounts, and what belongs to them; none: nothing",
    )

    @cached_property
    def scope(self) -> Scope:
        """What the user sees; asked for once a request."""
        if self.is_superuser or self.every_account:
            return EVERY
        return Scope(frozenset(map(Seen._make, self.accounts.values_list("pk", "source", "name"))))

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Whether the user has the right, and it can be used within their accounts."""
        return super().has_perm(perm, obj) and self.scope.covers(perm)


class CodeDevice(ThrottlingMixin, Device, models.Model):  # type: ignore[misc]  # the library has no types
    """What a code comes from, each taken once, with longer and longer waits after wrong ones."""

    objects: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        abstract = True
        default_permissions = ()  # each user has their own, and nobody another's

    def use(self, token: str) -> bool:
        """Whether it is a code, which is used up then; the caller stores that."""
        raise NotImplementedError

    def verify_token(self, token: str) -> bool:
        """Take a code, once. On a locked row: two at the same moment would both be taken."""
        allowed, _why = self.verify_is_allowed()
        if not allowed:
            return False
        right = self.use(token)
        if right:
            self.throttle_reset(commit=False)
            self.save()
        else:
            self.throttle_increment()
        return right

    def get_throttle_factor(self) -> int:
        """Seconds after the first wrong code; twice as many after each further one."""
        return 1


class Authenticator(CodeDevice):  # noqa: DJ008 - the library has a __str__
    """An app that shows another code each half minute (RFC 6238). By `threadsagent.two_factor`.

    It is not django-otp's own, which stores its secret as it is; this one is encrypted.
    """

    secret = EncryptedCharField(max_length=100, help_text="base32, as the app has it")
    last_t = models.BigIntegerField(
        default=-1, help_text="the half minute of the last code that was taken"
    )
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[models.Manager["Authenticator"]] = models.Manager()

    class Meta(CodeDevice.Meta):
        constraints = [models.UniqueConstraint(fields=["user"], name="one_authenticator_a_user")]

    def use(self, token: str) -> bool:
        totp = TOTP(b32decode(self.secret))
        totp.time = time.time()
        is_code = len(token) == totp.digits and token.isdecimal()
        right = is_code and totp.verify(int(token), tolerance=1, min_t=self.last_t + 1)
        if right:
            self.last_t = totp.t()
        return bool(right)


class RecoveryCodes(CodeDevice):  # noqa: DJ008 - the library has a __str__
    """What lets a user in without the app, each code once. By `threadsagent.two_factor`.

    It is not django-otp's own, which stores the codes as they are. Of these there are hashes, and
    plain ones will do: a code is 80 random bits, which nobody can try out.
    """

    hashes = ArrayField(models.CharField(max_length=64))

    objects: ClassVar[models.Manager["RecoveryCodes"]] = models.Manager()

    class Meta(CodeDevice.Meta):
        constraints = [models.UniqueConstraint(fields=["user"], name="recovery_codes_once_a_user")]

    @staticmethod
    def hash_of(code: str) -> str:
        """What is stored of a code."""
        return sha256(code.encode()).hexdigest()

    def use(self, token: str) -> bool:
        digest = self.hash_of(token)
        right = digest in self.hashes
        if right:
            self.hashes.remove(digest)
        return right


class TokenLimits(models.Model):
    """What a token of the API may do of what its user may. Written by `threadsagent.tokens`.

    A token from before there were scopes gets its row when it is used.
    """

    token = models.OneToOneField(
        AuthToken, on_delete=models.CASCADE, primary_key=True, related_name="limits"
    )
    scopes = ArrayField(
        models.CharField(max_length=30), null=True, help_text="null: all that its user may do"
    )
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()  # who may make tokens says what these may do

    def __str__(self) -> str:
        return f"limits of {self.token.token_key}"
