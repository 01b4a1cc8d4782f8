"""The operators' console: Django's admin, whose first page is the dashboard."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse

from threadsagent.login import LoginForm


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
