"""The JSON of campaigns and messages."""

from rest_framework import serializers

from dmtrigger.models import Campaign, DeliveryAttempt, DirectMessage


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    """What is sent, and under which posts."""

    class Meta:
        model = Campaign
        fields = ("id", "name", "is_active", "post_id", "link", "template", "auto_threshold")


class DeliveryAttemptSerializer(serializers.ModelSerializer[DeliveryAttempt]):
    """One call of the sender and what came of it."""

    class Meta:
        model = DeliveryAttempt
        fields = ("number", "started_at", "finished_at", "outcome", "detail")


class DirectMessageSerializer(serializers.ModelSerializer[DirectMessage]):
    """A message, its state and its attempts."""

    log = DeliveryAttemptSerializer(many=True, read_only=True)

    class Meta:
        model = DirectMessage
        fields = (
            "id",
            "comment_id",
            "external_id",
            "post_id",
            "reason",
            "review",
            "campaign",
            "sender",
            "recipient",
            "text",
            "state",
            "attempts",
            "next_attempt_at",
            "sent_at",
            "platform_message_id",
            "last_error",
            "created_at",
            "log",
        )
