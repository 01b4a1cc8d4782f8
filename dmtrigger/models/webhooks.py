"""Where other systems hear of what becomes of messages, and what was told to them."""

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from encrypted_fields.fields import EncryptedCharField

from comments.scope import Scope
from dmtrigger.endpoints import NotAllowed, check_url
from dmtrigger.signing import new_secret


def _of_campaigns(scope: Scope) -> models.Q:
    """Those to which campaigns hand messages that are seen: they can be chosen for others."""
    campaigns = scope.narrow(apps.get_model("dmtrigger", "Campaign")._default_manager.all())
    return models.Q(pk__in=campaigns.values("endpoint"))


class WebhookEndpoint(models.Model):
    """A system that is told of every change of a message's state, or takes messages over.

    Edited in the admin; `dmtrigger.webhooks` writes who serves it and switches it off.
    """

    name = models.CharField(max_length=100, unique=True)
    url = models.URLField(help_text="is sent POST requests, signed as Standard Webhooks describe")
    secret = EncryptedCharField(
        max_length=100,
        default=new_secret,
        help_text="whsec_…, for the signature; the receiver needs it too",
    )
    hears_events = models.BooleanField(
        default=True, help_text="is told of every change of a message's state"
    )
    is_active = models.BooleanField(default=True)
    busy_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="a worker is sending to it until then, or it rests",
    )
    created_at = models.DateTimeField(db_default=Now())

    seen_by = _of_campaigns
    # it may hear of the messages of all accounts
    rights_over_all = tuple(
        f"{verb}_webhookendpoint" for verb in ("view", "add", "change", "delete")
    )

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Nothing may be sent in the clear over a network, or to a machine's own services."""
        try:
            check_url(self.url)
        except NotAllowed as problem:
            raise ValidationError({"url": str(problem)}) from problem


class WebhookDelivery(models.Model):
    """An event for an endpoint, and how telling it goes. Written only by `dmtrigger.webhooks`."""

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed", "failed (given up)"

    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries"
    )
    event_id = models.CharField(max_length=50, help_text="the same at every attempt: webhook-id")
    payload = models.JSONField()
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        permissions = [("retry_webhookdelivery", "Can have events delivered again")]
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event_id"], name="event_once_an_endpoint"),
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                name="webhook_due",
                condition=models.Q(state="pending"),
            ),
            models.Index(
                fields=["endpoint"], name="webhook_failed", condition=models.Q(state="failed")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.endpoint} ({self.state})"
