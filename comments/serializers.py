"""The JSON of the comments API."""

from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.utils import timezone
from rest_framework import serializers

from comments.models import Comment, Monitor
from comments.parsing import (
    MAX_FOLLOWERS,
    MAX_ID_LENGTH,
    MAX_TEXT_LENGTH,
    FieldError,
    parse_text,
)
from comments.sources import SourceError, get_source


class CommentSerializer(serializers.ModelSerializer[Comment]):
    """A stored comment and when it was analysed."""

    class Meta:
        model = Comment
        fields = (
            "id",
            "source",
            "external_id",
            "post_id",
            "account",
            "text",
            "author",
            "author_followers",
            "author_verified",
            "is_influencer",
            "posted_at",
            "created_at",
            "analyzed_at",
        )


class ItemSerializer(serializers.Serializer[Any]):
    """One comment to store. For the schema: `comments.parsing` does the checks, item by item."""

    id = serializers.CharField(min_length=1, max_length=MAX_ID_LENGTH)
    text = serializers.CharField(min_length=1, max_length=MAX_TEXT_LENGTH)
    author = serializers.CharField(min_length=1, max_length=MAX_ID_LENGTH)
    timestamp = serializers.DateTimeField(help_text="ISO 8601; without a zone it is UTC")
    author_followers = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=MAX_FOLLOWERS,
        help_text="null: the platform does not say",
    )
    author_verified = serializers.BooleanField(
        default=False, allow_null=True, help_text="by the platform; null: it does not say"
    )


class ProcessRequestSerializer(serializers.Serializer[Any]):
    """A batch of a post's comments."""

    post_id = serializers.CharField(min_length=1, max_length=MAX_ID_LENGTH)
    account = serializers.CharField(
        max_length=MAX_ID_LENGTH,
        required=False,
        allow_blank=True,
        allow_null=True,
        help_text="the brand's account whose post it is; left out: the source's only one",
    )
    comments = ItemSerializer(
        many=True,
        required=False,
        allow_null=True,
        help_text="null or left out: fetched from the post's source",
    )


class ItemErrorSerializer(serializers.Serializer[Any]):
    """Why one comment of the batch was refused."""

    index = serializers.IntegerField(help_text="its place in the batch, from 0")
    id = serializers.CharField(allow_null=True)
    field = serializers.CharField()
    reason = serializers.CharField()


class ProcessResponseSerializer(serializers.Serializer[Any]):
    """What became of the batch."""

    status = serializers.ChoiceField(
        ["success", "partial", "error"],
        help_text="partial: the good comments are stored, `rejected` names the others",
    )
    processed_count = serializers.IntegerField(help_text="well-formed comments of the batch")
    queued_count = serializers.IntegerField(help_text="that now wait to be analysed")
    stored_count = serializers.IntegerField(help_text="that were new")
    duplicates_filtered = serializers.IntegerField(help_text="that were known already")
    processing_time_ms = serializers.IntegerField()
    rejected = ItemErrorSerializer(many=True)


class NameField(serializers.CharField):
    """A platform's name for something, by the rules that hold when comments are handed in."""

    def __init__(self, **kwargs: Any) -> None:
        not_blank = RegexValidator(r"\S")  # for the schema: `parse_text` says it first
        super().__init__(min_length=1, trim_whitespace=False, validators=[not_blank], **kwargs)

    def to_internal_value(self, data: Any) -> str:
        try:
            return parse_text(str(self.field_name), data, self.max_length or MAX_ID_LENGTH)
        except FieldError as error:
            raise serializers.ValidationError(str(error)) from error


class StartMonitorSerializer(serializers.ModelSerializer[Monitor]):
    """Which post is to be watched."""

    post_id = NameField(max_length=MAX_ID_LENGTH)

    class Meta:
        model = Monitor
        fields = ("post_id", "source", "account", "interval_seconds")
        extra_kwargs = {
            "source": {
                "default": lambda: settings.COMMENT_SOURCE,
                "min_length": 1,
                "help_text": "by default `COMMENT_SOURCE`",
            }
        }
        validators: list[Any] = []  # a post that is watched already is no error

    def validate_source(self, source: str) -> str:
        """There must be one of that name."""
        try:
            get_source(source)
        except SourceError as error:
            raise serializers.ValidationError(str(error)) from error
        return source


class MonitorSerializer(serializers.ModelSerializer[Monitor]):
    """A watched post and how that goes."""

    next_poll_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="null when it is stopped"
    )
    is_polling = serializers.SerializerMethodField(help_text="a worker is at it just now")

    class Meta:
        model = Monitor
        fields = (
            "task_id",
            "status",
            "source",
            "post_id",
            "account",
            "interval_seconds",
            "next_poll_at",
            "is_polling",
            "comments_processed",
            "last_processed",
            "error_count",
            "last_error",
            "created_at",
        )

    def to_representation(self, instance: Monitor) -> dict[str, Any]:
        shown = super().to_representation(instance)
        if instance.status == Monitor.Status.STOPPED:
            shown["next_poll_at"] = None
        return shown

    def get_is_polling(self, monitor: Monitor) -> bool:
        return monitor.leased_until is not None and monitor.leased_until > timezone.now()
