"""Users in the admin. Nobody gives a right there that they do not have, nor rules over who has it.

Django by itself lets everybody who may change users make themselves a superuser.
"""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from dmtrigger.audit_admin import Audited
from threadsagent import two_factor
from threadsagent.models import Authenticator, User


def may_rule(ruler: User, user: User) -> bool:
    """Whether `ruler` may act for `user`: change them, set a password, have a token of theirs."""
    if ruler.is_superuser:
        return True
    return not user.is_superuser and _rights_of(user) <= _rights_of(ruler)


def _rights_of(user: User) -> set[int]:
    return _rights(Q(user=user) | Q(group__user=user))


def _rights(whose: Q) -> set[int]:
    """Keys of permissions. Not `get_all_permissions`: who is inactive has none, but may get them
    back."""
    return set(Permission.objects.filter(whose).values_list("pk", flat=True))


class UserForm(UserChangeForm[User]):
    """Gives groups and permissions; `giver` is who fills it in."""

    giver: User

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        groups, permissions = said.get("groups", ()), said.get("user_permissions", ())
        given = _rights(Q(group__in=groups) | Q(pk__in=permissions))
        if not self.giver.is_superuser and given - _rights_of(self.giver):
            raise ValidationError("You cannot give rights that you do not have yourself.")
        return said


@admin.register(User)
class UserAdmin(Audited, DjangoUserAdmin[User]):
    form = UserForm
    list_display = ("username", "email", "first_name", "last_name", "is_staff", "has_two_factor")
    actions = ("reset_two_factor",)
    fieldsets = (
        *(DjangoUserAdmin.fieldsets or ()),
        ("Accounts", {"fields": ("every_account", "accounts")}),
    )
    filter_horizontal = ("groups", "user_permissions", "accounts")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        own = Authenticator.objects.filter(user=OuterRef("pk"), confirmed=True)
        users: QuerySet[User] = super().get_queryset(request)
        return users.annotate(second_step=Exists(own))

    @admin.display(boolean=True, description="Two-factor login")
    def has_two_factor(self, user: Any) -> bool:
        return bool(user.second_step)

    @admin.action(description="Reset two-factor login: the password does", permissions=["change"])
    def reset_two_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """For who lost their app and the recovery codes."""
        ruler = cast(User, request.user)
        for user in queryset:
            if user == ruler:
                messages.error(request, "Your own is turned off on its page, with a code.")
            elif not may_rule(ruler, user):
                messages.error(request, f"{user} has rights that you do not have yourself.")
            elif two_factor.turn_off(user, by=ruler):
                messages.success(request, f"Two-factor login is off: {user}")
            else:
                messages.warning(request, f"{user} has no two-factor login.")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or may_rule(cast(User, request.user), obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or may_rule(cast(User, request.user), obj))

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        return () if cast(User, request.user).is_superuser else ("is_superuser",)

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.giver = request.user  # the class is made for this request
        return form
