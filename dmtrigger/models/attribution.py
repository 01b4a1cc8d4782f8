"""What came of messages: clicks and sales."""

from django.db import models
from django.db.models.functions import Now

from comments.scope import by_account
from dmtrigger.models.messages import DirectMessage


class Click(models.Model):
    """Somebody, or something, followed a message's link. Written only by `dmtrigger.clicks`.

    `dmtrigger.privacy` and `dmtrigger.retention` take away.
    """

    message = models.ForeignKey(DirectMessage, on_delete=models.CASCADE, related_name="clicks")
    token = models.UUIDField(
        unique=True, help_text="given at the click: stored once, if told twice"
    )
    at = models.DateTimeField()
    is_bot = models.BooleanField(help_text="a link preview or another program, no person")
    user_agent = models.CharField(max_length=300, blank=True)

    seen_by = by_account("message__account")

    class Meta:
        indexes = [
            models.Index(fields=["at"], name="click_by_time"),
        ]

    def __str__(self) -> str:
        return f"click on message {self.message_id}"


class Conversion(models.Model):
    """A sale that a message led to. Written only by `dmtrigger.conversions`."""

    message = models.ForeignKey(DirectMessage, on_delete=models.CASCADE, related_name="conversions")
    order_id = models.CharField(max_length=100, unique=True, help_text="the shop's, counted once")
    value = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    at = models.DateTimeField(help_text="when the shop says it was")
    created_at = models.DateTimeField(db_default=Now())

    seen_by = by_account("message__account")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(value__gte=0), name="value_not_negative"),
        ]

    def __str__(self) -> str:
        return f"order {self.order_id}: {self.value} {self.currency}"
