"""The JSON of intents, reviews and models."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from comments.scope import scope_of
from comments.serializers import CommentSerializer
from intents.cards import figures
from intents.models import IntentResult, Label, ModelVersion, Review


@extend_schema_field(
    {
        "type": "object",
        "required": ["words", "nearest"],
        "properties": {
            "words": {
                "type": "array",
                "description": "each a word and its weight",
                "items": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]},
            },
            "nearest": {
                "type": "array",
                "description": "each a labelled comment, its label, and how alike it is",
                "items": {
                    "type": "array",
                    "prefixItems": [{"type": "string"}, {"type": "string"}, {"type": "number"}],
                },
            },
        },
    }
)
class EvidenceField(serializers.JSONField):
    """What stands in the column; the comments that the model learnt from may be any account's, so
    only who sees every account is told of them."""

    def to_representation(self, value: Any) -> Any:
        shown: Any = super().to_representation(value)
        scope = scope_of(getattr(self.context.get("request"), "user", None))
        return shown if scope.is_whole or not shown else {**shown, "nearest": []}


class IntentResultSerializer(serializers.ModelSerializer[IntentResult]):
    """What the model says of a comment."""

    comment = CommentSerializer(read_only=True)
    evidence = EvidenceField(
        read_only=True,
        allow_null=True,
        help_text="why: the words that counted and the nearest labelled comments, where flagged",
    )

    class Meta:
        model = IntentResult
        fields = (
            "comment",
            "label",
            "score",
            "confidence",
            "band",
            "model_version",
            "hold",
            "language",
            "sentiment",
            "mentions_brand",
            "evidence",
            "created_at",
        )


class ReviewSerializer(serializers.ModelSerializer[Review]):
    """A flagged intent and its decision."""

    intent = IntentResultSerializer(read_only=True)
    decided_by = serializers.CharField(
        source="decided_by.username", default=None, read_only=True, allow_null=True
    )

    class Meta:
        model = Review
        fields = (
            "id",
            "intent",
            "status",
            "flagged_at",
            "decided_at",
            "decided_by",
            "decided_by_rule",
            "note",
            "corrected_label",
        )


class DecisionSerializer(serializers.Serializer[Any]):
    """What may be said with a decision."""

    note = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)
    corrected_label = serializers.ChoiceField(
        choices=Label.choices,
        required=False,
        default="",
        allow_blank=True,
        help_text="what the comment really is; with an approval, purchase_intent or nothing",
    )


class FiguresSerializer(serializers.Serializer[Any]):
    """How good the training measured a model to be; null where its card does not say."""

    average_precision = serializers.FloatField(allow_null=True)
    automatic_precision = serializers.FloatField(
        allow_null=True, help_text="precision from a score of 80 on"
    )
    calibration_error = serializers.FloatField(allow_null=True)
    examples = serializers.IntegerField(
        allow_null=True, help_text="how many comments it was measured on"
    )


class ModelVersionSerializer(serializers.ModelSerializer[ModelVersion]):
    """A version of the model, what it does, and how good it was measured to be."""

    figures = serializers.SerializerMethodField()
    promoted_by = serializers.CharField(
        source="promoted_by.username",
        default=None,
        read_only=True,
        allow_null=True,
        help_text="null: a release, or it never was",
    )

    @extend_schema_field(FiguresSerializer)
    def get_figures(self, version: ModelVersion) -> dict[str, Any]:
        return figures(version.card)._asdict()

    class Meta:
        model = ModelVersion
        fields = (
            "id",
            "name",
            "role",
            "traffic_percent",
            "figures",
            "created_at",
            "promoted_at",
            "promoted_by",
        )


class ShareSerializer(serializers.Serializer[Any]):
    """How much of the traffic a challenger answers."""

    percent = serializers.IntegerField(min_value=1, max_value=100)
