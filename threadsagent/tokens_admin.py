"""API tokens in the admin: one is made for a user and shown once, and revoked by deleting it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import knox.admin  # noqa: F401 - registers its page, which is taken away below
from django import forms
from django.contrib import admin
from django.db.models import Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from knox.models import AuthToken

from dmtrigger import audit
from dmtrigger.audit_admin import Audited
from threadsagent import tokens
from threadsagent.models import User
from threadsagent.scopes import Scope
from threadsagent.users_admin import may_rule

MOST_DAYS = 3650
ALL = "all"
ALL_RIGHTS = "everything that its user may do, also what they come to be allowed later"

NEVER = Value(datetime.min.replace(tzinfo=UTC))  # before all that were used


class TokenForm(forms.ModelForm[AuthToken]):
    """Whose token, for what, and for how long; `giver` is who fills it in."""

    giver: User
    days = forms.IntegerField(
        min_value=1, max_value=MOST_DAYS, initial=90, help_text="until it expires"
    )
    scopes = forms.MultipleChoiceField(
        choices=[*((scope, f"{scope}: {scope.label}") for scope in Scope), (ALL, ALL_RIGHTS)],
        widget=forms.CheckboxSelectMultiple(
            {"class": "radiolist"}
        ),  # of Django: as wide as need be
        label="May",
        help_text="as far as its user may",
    )

    class Meta:
        model = AuthToken
        fields = ("user",)

    def clean_user(self) -> User:
        user: User = self.cleaned_data["user"]
        if not user.is_active:
            raise forms.ValidationError("This user is not active.")
        if not may_rule(self.giver, user):
            raise forms.ValidationError("This user has rights that you do not have yourself.")
        return user

    def clean_scopes(self) -> list[str] | None:
        """None for everything, as `tokens.issue` has it."""
        chosen: list[str] = self.cleaned_data["scopes"]
        return None if ALL in chosen else chosen


admin.site.unregister(AuthToken)  # knox's own page puts the token into a message, and so a cookie


@admin.register(AuthToken)
class TokenAdmin(Audited):
    list_display = ("user", "token_key", "may", "created", "expiry", "last_used")
    list_select_related = ("user", "limits")
    search_fields = ("user__username",)
    ordering = ("-created",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: AuthToken | None = None) -> Any:
        return self.list_display if obj else ("user", "scopes", "days")

    @admin.display(description="may")
    def may(self, token: AuthToken) -> str:
        scopes = tokens.scopes_of(token)
        return "all that its user may" if scopes is None else ", ".join(scopes)

    @admin.display(description="last used", ordering=Coalesce("limits__last_used_at", NEVER))
    def last_used(self, token: AuthToken) -> datetime | None:
        """To a few minutes; nothing where it never was."""
        return tokens.last_used(token)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = TokenForm
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.giver = request.user  # the class is made for this request
        return form

    def save_model(self, request: HttpRequest, obj: AuthToken, form: Any, change: bool) -> None:
        lasts = timedelta(days=form.cleaned_data["days"])
        made, obj.key = tokens.issue(obj.user, form.cleaned_data["scopes"], lasts)
        obj.pk, obj.token_key, obj.expiry = made.pk, made.token_key, made.expiry

    def response_add(
        self, request: HttpRequest, obj: AuthToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        """On a page, the only time that it is shown: what is stored is its hash."""
        context = self.admin_site.each_context(request) | {
            "title": f"The token of {obj.user}",
            "opts": self.opts,
            "token": obj,
        }
        return TemplateResponse(request, "admin/knox/authtoken/key.html", context)

    def _note(self, request: HttpRequest, action: str, obj: Any, message: Any) -> None:
        """By its user and its first characters: its key is a long hash."""
        audit.record(
            request.user.get_username(),
            f"{action} token",
            f"user {obj.user_id}",
            name=str(obj.user),
            token=obj.token_key,
            may=self.may(obj),
        )
