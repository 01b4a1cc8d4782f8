"""The JSON of campaigns and messages."""

from rest_framework import serializers

from dmtrigger.models import Campaign, DeliveryAttempt, DirectMessage, MessageEvent, Variant


class VariantSerializer(serializers.ModelSerializer[Variant]):
    """One wording of a campaign's message."""

    class Meta:
        model = Variant
        fields = ("id", "name", "template", "weight")


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    """What is sent, under which posts, and when."""

    variants = VariantSerializer(many=True, read_only=True)

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

    events = MessageEventSerializer(many=True, read_only=True)
    log = DeliveryAttemptSerializer(many=True, read_only=True)

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
            "expires_at",
            "sent_at",
            "platform_message_id",
            "last_error",
            "created_at",
            "events",
            "log",
        )
