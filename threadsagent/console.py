"""The operators' console: Django's admin, whose first page is the dashboard."""

from typing import Any, cast

from django.contrib import auth
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from threadsagent import two_factor
from threadsagent.login import LoginForm, SecondStep


class Console(AdminSite):
    site_header = site_title = "ThreadsAgent"
    index_title = "Console"
    login_form = LoginForm
    index_template = "admin/dmtrigger/dashboard.html"

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        from dmtrigger.dashboard_admin import context  # imports pages that register here

        return super().index(request, context(request) | (extra_context or {}))

    def get_urls(self) -> list[URLPattern | URLResolver]:
        from threadsagent.two_factor_admin import page  # asks this site who may be there

        return [path("two-factor/", page, name="two_factor"), *super().get_urls()]

    @method_decorator(never_cache)
    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask for the password, then for a code where one is needed; or to be somebody else."""
        user = two_factor.awaited(request)
        if user is None:
            return super().login(request, extra_context)
        here = request.get_full_path()
        if "again" in request.POST:
            auth.logout(request)
            return redirect(here)
        if two_factor.find(user) is None:
            return redirect("admin:two_factor")
        ask = SecondStep.as_view(
            user=user,
            next_page=reverse("admin:index"),
            extra_context=self.each_context(request) | {"title": "Two-factor login"},
        )
        return cast(HttpResponse, ask(request))
