"""The systems that are told of messages, and what was told to them, in the admin."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from comments.admin import FirstRows, ReadOnlyAdmin
from dmtrigger import webhooks
from dmtrigger.audit_admin import Audited
from dmtrigger.models import WebhookDelivery, WebhookEndpoint
from dmtrigger.signing import new_secret

SHOWN_CHARACTERS = 4  # of a secret, to tell two apart


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(Audited):
    """An endpoint's secret is shown once, when it is made; who has lost it makes a new one."""

    list_display = ("name", "url", "is_active", "hears_events", "masked_secret")
    list_filter = ("is_active",)
    fields = ("name", "url", "hears_events", "is_active", "masked_secret")
    readonly_fields = ("masked_secret",)
    actions = ("rotate_secret", "send_test")

    def save_model(
        self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool
    ) -> None:
        """Of an endpoint that there is, save what was changed only: a worker may be serving it."""
        obj.save(update_fields=form.changed_data if change else None)

    def response_add(
        self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._show_secret(request, obj)

    @admin.action(description="Make a new secret", permissions=["change"])
    def rotate_secret(
        self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]
    ) -> HttpResponse | None:
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            messages.error(request, "Nothing was done: tick one endpoint, not several.")
            return None
        [endpoint] = chosen
        endpoint.secret = new_secret()
        endpoint.save(update_fields=["secret"])
        self.log_change(request, endpoint, "made a new secret")
        return self._show_secret(request, endpoint)

    @admin.action(description="Send a test event", permissions=["change"])
    def send_test(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        active = list(queryset.filter(is_active=True))
        for endpoint in active:
            webhooks.send_test(endpoint)
        messages.info(request, f"Test events: {len(active)}. The deliveries show how they do.")

    @admin.display(description="secret")
    def masked_secret(self, endpoint: WebhookEndpoint) -> str:
        return f"whsec_…{endpoint.secret[-SHOWN_CHARACTERS:]}" if endpoint.pk else "made for you"

    def _show_secret(self, request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
        """On a page and in no message: those are kept in a cookie until they are read."""
        context = self.admin_site.each_context(request) | {
            "title": f"The secret of {endpoint}",
            "opts": self.opts,
            "endpoint": endpoint,
        }
        return TemplateResponse(request, "admin/dmtrigger/webhookendpoint/secret.html", context)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """What was told to whom, and how that went."""

    list_display = (
        "event_id",
        "type",
        "endpoint",
        "state",
        "attempts",
        "next_attempt_at",
        "status_code",
        "last_error",
        "created_at",
        "delivered_at",
    )
    list_filter = ("state", "endpoint")
    list_select_related = ("endpoint",)
    search_fields = ("event_id",)
    search_help_text = "The whole id of an event (evt_12)."
    ordering = ("-id",)
    actions = ("deliver_again",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery], search_term: str
    ) -> tuple[QuerySet[WebhookDelivery], bool]:
        return (queryset.filter(event_id=search_term) if search_term else queryset), False

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("dmtrigger.retry_webhookdelivery")

    @admin.action(description="Deliver again", permissions=["retry"])
    def deliver_again(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        chosen = [delivery.pk for delivery in FirstRows.of(queryset)]
        count = webhooks.deliver_again(chosen)
        messages.info(request, f"Delivered again: {count}")
        if count < len(chosen):
            off = len(chosen) - count
            messages.warning(request, f"Left alone, since their endpoint is switched off: {off}")

    @admin.display(description="type")
    def type(self, delivery: WebhookDelivery) -> str:
        return str(delivery.payload["type"])
