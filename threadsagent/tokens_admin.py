"""API tokens in the admin: one is made for a user and shown once, and revoked by deleting it."""

from datetime import timedelta
from typing import Any

import knox.admin  # noqa: F401 - registers its page, which is taken away below
from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from knox.models import AuthToken

from dmtrigger import audit
from dmtrigger.audit_admin import Audited
from threadsagent.models import User
from threadsagent.users_admin import may_rule

MOST_DAYS = 3650


class TokenForm(forms.ModelForm[AuthToken]):
    """Whose token, and for how long; `giver` is who fills it in."""

    giver: User
    days = forms.IntegerField(
        min_value=1, max_value=MOST_DAYS, initial=90, help_text="until it expires"
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


admin.site.unregister(AuthToken)  # knox's own page puts the token into a message, and so a cookie


@admin.register(AuthToken)
class TokenAdmin(Audited):
    list_display = ("user", "token_key", "created", "expiry")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    ordering = ("-created",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: AuthToken | None = None) -> Any:
        return ("user", "token_key", "created", "expiry") if obj else ("user", "days")

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = TokenForm
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.giver = request.user  # the class is made for this request
        return form

    def save_model(self, request: HttpRequest, obj: AuthToken, form: Any, change: bool) -> None:
        days = timedelta(days=form.cleaned_data["days"])
        made, obj.key = AuthToken.objects.create(obj.user, expiry=days)
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
        )
