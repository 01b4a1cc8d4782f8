"""The JSON of the comments API."""

from typing import Any

from rest_framework import serializers

from comments.models import Comment
from comments.parsing import MAX_ID_LENGTH, MAX_TEXT_LENGTH


class CommentSerializer(serializers.ModelSerializer[Comment]):
    """A stored comment and when it was analysed."""

    class Meta:
        model = Comment
        fields = (
            "id",
            "source",
            "external_id",
            "post_id",
            "text",
            "author",
            "posted_at",
            "created_at",
            "analyzed_at",
        )


class ItemSerializer(serializers.Serializer[Any]):
    """One comment to store. For the schema: `comments.parsing` does the checks, item by item."""

    id = serializers.CharField(max_length=MAX_ID_LENGTH)
    text = serializers.CharField(max_length=MAX_TEXT_LENGTH)
    author = serializers.CharField(max_length=MAX_ID_LENGTH)
    timestamp = serializers.DateTimeField(help_text="ISO 8601; without a zone it is UTC")


class ProcessRequestSerializer(serializers.Serializer[Any]):
    """A batch of a post's comments."""

    post_id = serializers.CharField(max_length=MAX_ID_LENGTH)
    comments = ItemSerializer(
        many=True, required=False, help_text="Left out: fetched from the post's source."
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
