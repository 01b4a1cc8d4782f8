"""The JSON of campaigns, messages, accounts, opt-outs and refusals."""

from copy import copy
from datetime import datetime
from typing import Any

from django.db import models
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from comments.parsing import MAX_ID_LENGTH
from comments.scope import Scope, scope_of
from comments.serializers import NameField
from dmtrigger.models import (
    Account,
    Campaign,
    DeliveryAttempt,
    DirectMessage,
    MessageEvent,
    Person,
    Refusal,
    Variant,
    WebhookEndpoint,
)
from dmtrigger.pacing import Load


class VariantSerializer(serializers.ModelSerializer[Variant]):
    """One wording of a campaign's message."""

    class Meta:
        model = Variant
        fields = ("id", "name", "template", "weight")
        extra_kwargs = {"name": {"required": True}}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """As the admin's form does."""
        if "name" not in attrs:  # which a PATCH does not ask for
            raise serializers.ValidationError({"name": "This field is required."})
        Variant(**attrs).clean()
        return attrs


@extend_schema_field(
    {"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?$"}
)
class ClockField(serializers.TimeField):
    """A time of day. JSON Schema's `time` has an offset, which the campaign's time zone says."""


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    """What is sent, under which posts, and when."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.TimeField: ClockField,
    }
    variants = VariantSerializer(
        many=True,
        allow_empty=False,
        help_text="all that there are to be, known by their names; others are deleted",
    )

    def get_fields(self) -> dict[str, Any]:
        """With the accounts and endpoints that the caller sees."""
        fields: dict[str, Any] = super().get_fields()
        for name, model in (("account", Account), ("endpoint", WebhookEndpoint)):
            fields[name].queryset = self._scope().narrow(model._default_manager.all())
        return fields

    def _scope(self) -> Scope:
        return scope_of(getattr(self.context.get("request"), "user", None))

    def validate_variants(self, variants: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """As the admin's form does."""
        names = [variant["name"] for variant in variants]
        if len(set(names)) < len(names):
            raise serializers.ValidationError("Two variants have the same name.")
        stored: dict[str, int] = {}
        if self.instance is not None:
            stored = dict(self.instance.variants.values_list("name", "weight"))
        weights = (each.get("weight", stored.get(each["name"], 1)) for each in variants)
        if not any(weights):
            raise serializers.ValidationError("At least one variant needs a weight above 0.")
        return variants

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """As the admin's form does, of the campaign as it is to be."""
        wanted = copy(self.instance) or Campaign()
        for name, value in attrs.items():
            if name != "variants":
                setattr(wanted, name, value)
        if not self._scope().has_key(wanted.account_id):
            raise serializers.ValidationError({"account": "must be one that you see"})
        wanted.clean()
        return attrs

    class Meta:
        model = Campaign
        fields = (
            "id",
            "name",
            "is_active",
            "priority",
            "account",
            "post_id",
            "min_score",
            "auto_threshold",
            "required_words",
            "excluded_words",
            "starts_at",
            "ends_at",
            "channel",
            "endpoint",
            "link",
            "utm_source",
            "utm_medium",
            "utm_campaign",
            "delay_seconds",
            "quiet_from",
            "quiet_until",
            "time_zone",
            "variants",
        )


class DeliveryAttemptSerializer(serializers.ModelSerializer[DeliveryAttempt]):
    """One call of the sender and what came of it."""

    class Meta:
        model = DeliveryAttempt
        fields = ("number", "started_at", "finished_at", "outcome", "detail")


class MessageEventSerializer(serializers.ModelSerializer[MessageEvent]):
    """A state that a message came to."""

    class Meta:
        model = MessageEvent
        fields = ("state", "detail", "by", "at")


class DirectMessageSerializer(serializers.ModelSerializer[DirectMessage]):
    """A message, its state, its history and its attempts."""

    expected_at = serializers.SerializerMethodField(
        help_text="about when it will leave; null where it does not leave by itself"
    )
    events = MessageEventSerializer(many=True, read_only=True)
    log = DeliveryAttemptSerializer(many=True, read_only=True)

    def get_expected_at(self, message: DirectMessage) -> datetime | None:
        """As the view has found it for the whole page; nobody else asks."""
        expected: dict[int, datetime] = self.context.get("expected", {})
        return expected.get(message.pk)

    class Meta:
        model = DirectMessage
        fields = (
            "id",
            "comment_id",
            "external_id",
            "source",
            "account",
            "post_id",
            "reason",
            "score",
            "model_version",
            "review",
            "campaign",
            "variant",
            "channel",
            "sender",
            "recipient",
            "text",
            "link",
            "state",
            "attempts",
            "next_attempt_at",
            "expected_at",
            "expires_at",
            "sent_at",
            "platform_message_id",
            "last_error",
            "created_at",
            "events",
            "log",
        )


class SettlementSerializer(serializers.Serializer[Any]):
    """What somebody found out about a message whose outcome is unknown."""

    delivered = serializers.BooleanField()


class AccountSerializer(serializers.ModelSerializer[Account]):
    """An account, its pauses, and how busy it is."""

    limit = serializers.SerializerMethodField(
        help_text="messages in any hour that hold: its own limit, ours or the platform's"
    )
    slots_used = serializers.SerializerMethodField(help_text="of the last hour")
    waiting = serializers.SerializerMethodField(help_text="messages that will leave by themselves")
    waiting_until = serializers.SerializerMethodField(
        help_text="about when the last of them will have left"
    )

    def get_limit(self, account: Account) -> int | None:
        return self._load(account).limit

    def get_slots_used(self, account: Account) -> int:
        return self._load(account).slots_used

    def get_waiting(self, account: Account) -> int:
        return self._load(account).waiting

    def get_waiting_until(self, account: Account) -> datetime | None:
        return self._load(account).until

    def _load(self, account: Account) -> Load:
        loads: dict[int, Load] = self.context["loads"]
        return loads[account.pk]

    class Meta:
        model = Account
        fields = (
            "id",
            "source",
            "name",
            "usernames",
            "hourly_limit",
            "limit",
            "slots_used",
            "waiting",
            "waiting_until",
            "paused_until",
            "pause_reason",
            "usage_percent",
            "usage_at",
        )


class OptOutSerializer(serializers.ModelSerializer[Person]):
    """A person who wants no messages; `opted_out_until` null: for good."""

    class Meta:
        model = Person
        fields = ("id", "source", "name", "opted_out_at", "opted_out_until", "opted_out_by")


class NewOptOutSerializer(serializers.Serializer[Any]):
    """Who wants no messages, and for how long."""

    # every field of DRF has an attribute of this name too
    source = NameField(max_length=50)  # type: ignore[assignment]
    name = NameField(max_length=MAX_ID_LENGTH)
    days = serializers.IntegerField(
        min_value=1, max_value=3650, allow_null=True, default=None, help_text="null: for good"
    )


class RefusalSerializer(serializers.ModelSerializer[Refusal]):
    """A message that was not sent, by which rule, and why."""

    class Meta:
        model = Refusal
        fields = ("id", "comment_id", "campaign", "rule", "reason", "at")
