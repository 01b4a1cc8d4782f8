"""The JSON of conversions and of the funnel."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from comments.serializers import ItemErrorSerializer
from dmtrigger.funnel import By
from dmtrigger.models import Conversion

DEFAULT_DAYS = 7


class SaleSerializer(serializers.Serializer[Any]):
    """A sale as the shop tells it; for the document only, `conversions.parse_sale` reads it."""

    token = serializers.CharField(help_text="as the link added it to the shop's address: `ta=…`")
    order_id = serializers.CharField(help_text="the shop's; an order is stored once")
    value = serializers.DecimalField(max_digits=12, decimal_places=2, min_value=0)
    currency = serializers.RegexField("^[A-Z]{3}$", help_text="ISO 4217")
    at = serializers.DateTimeField(help_text="when it was; one without a zone is UTC")


class SaleErrorSerializer(ItemErrorSerializer):
    """Why one sale was refused, or kept as it was told first; `id` is the order's."""


class ConversionReportSerializer(serializers.Serializer[Any]):
    """What became of the items of a call; `index` counts from 0."""

    status = serializers.ChoiceField(
        ["success", "partial", "error"], help_text="`error`: nothing good was in it"
    )
    stored = serializers.IntegerField()
    known = serializers.IntegerField(help_text="told before, with the same values")
    kept = SaleErrorSerializer(
        many=True, help_text="told before with other values; they stay as they were told first"
    )
    rejected = SaleErrorSerializer(many=True)


class ConversionSerializer(serializers.ModelSerializer[Conversion]):
    """A sale, and the message that led to it."""

    campaign = serializers.IntegerField(source="message.campaign_id")
    variant = serializers.IntegerField(source="message.variant_id", allow_null=True)

    class Meta:
        model = Conversion
        fields = (
            "id",
            "message",
            "campaign",
            "variant",
            "order_id",
            "value",
            "currency",
            "at",
            "created_at",
        )


class FunnelQuerySerializer(serializers.Serializer[Any]):
    """Which comments, and by what they are taken apart."""

    since = serializers.DateTimeField(required=False, help_text="stored then or later; 7 days ago")
    until = serializers.DateTimeField(required=False, help_text="stored before; now")
    by = serializers.ChoiceField([by.value for by in By], default=By.CAMPAIGN.value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        until = attrs.setdefault("until", timezone.now())
        try:
            since = attrs.setdefault("since", until - timedelta(days=DEFAULT_DAYS))
        except OverflowError:
            raise serializers.ValidationError({"until": "is too early"}) from None
        if since >= until:
            raise serializers.ValidationError({"since": "must be before `until`"})
        return attrs


class RateSerializer(serializers.Serializer[Any]):
    """A share of the messages sent, and the bounds of its 95 % interval."""

    share = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class RowSerializer(serializers.Serializer[Any]):
    """How many came how far; null: cannot be told."""

    name = serializers.CharField()
    comments = serializers.IntegerField(allow_null=True)
    flagged = serializers.IntegerField(allow_null=True)
    approved = serializers.IntegerField(allow_null=True)
    sent = serializers.IntegerField()
    clicked = serializers.IntegerField(help_text="messages whose link a person followed")
    converted = serializers.IntegerField(help_text="messages that led to a sale")
    orders = serializers.IntegerField()
    revenue = serializers.DictField(
        child=serializers.DecimalField(max_digits=20, decimal_places=2), help_text="by currency"
    )
    click_rate = RateSerializer(allow_null=True, help_text="null below 100 messages sent")
    conversion_rate = RateSerializer(allow_null=True, help_text="null below 100 messages sent")


class VerdictSerializer(serializers.Serializer[Any]):
    """Which variant is better; `better` is empty while that cannot be told."""

    better = serializers.CharField(allow_blank=True)
    text = serializers.CharField()


class ComparisonSerializer(serializers.Serializer[Any]):
    """The variants of a campaign beside each other."""

    campaign = serializers.CharField()
    variants = RowSerializer(many=True)
    clicks = VerdictSerializer()
    conversions = VerdictSerializer()


@extend_schema_serializer(many=False)  # the action is called `list`, but it answers one
class FunnelSerializer(serializers.Serializer[Any]):
    """The funnel of the comments of a period."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    by = serializers.CharField()
    is_kept = serializers.BooleanField(
        help_text="false: comments and reviews of the period are gone in part, and not told"
    )
    total = RowSerializer()
    groups = RowSerializer(many=True)
    comparisons = ComparisonSerializer(many=True)
