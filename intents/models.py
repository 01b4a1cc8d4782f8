"""What the analysis found, and what the operators said of it."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from comments.models import Comment
from comments.scope import by_comment, by_names


class Label(models.TextChoices):
    PURCHASE_INTENT = "purchase_intent"
    PRODUCT_QUESTION = "product_question"
    PRAISE = "praise"
    COMPLAINT = "complaint"
    SPAM = "spam"
    OTHER = "other"


class Band(models.TextChoices):
    """What a score asks for; the bounds are the spec's and stand in `intents.analysis`."""

    IMMEDIATE_DM = "immediate_dm", "immediate DM"
    NURTURE = "nurture"
    MONITOR = "monitor"
    IGNORE = "ignore"


class Hold(models.TextChoices):
    """Why no message may follow from a result unless an operator says so."""

    NONE = "", "none"
    LANGUAGE = "language", "a language that the model does not speak"
    MODEL_FAILED = "model_failed", "the model failed; a simpler one answered"


class Sentiment(models.TextChoices):
    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


class IntentResult(models.Model):
    """The model's answer for one comment. Written only by `intents.analysis`.

    Partitioned like the comments and dropped with them (`comments.partitions`); a constraint to a
    partitioned table would forbid that, so the database checks none.
    """

    comment = models.OneToOneField(
        Comment,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="intent",
    )
    label = models.CharField(max_length=20, choices=Label)
    score = models.PositiveSmallIntegerField(help_text="probability of purchase intent, 0 to 100")
    confidence = models.FloatField(help_text="probability of the label, 0 to 1")
    band = models.CharField(max_length=20, choices=Band)
    model_version = models.CharField(max_length=100)
    hold = models.CharField(max_length=20, choices=Hold, blank=True, db_default="")
    language = models.CharField(
        max_length=3, blank=True, db_default="", help_text="ISO 639 code; empty where none is told"
    )
    sentiment = models.CharField(
        max_length=8, choices=Sentiment, db_default=Sentiment.NEUTRAL.value
    )
    mentions_brand = models.BooleanField(db_default=False)
    evidence = models.JSONField(
        null=True,
        blank=True,
        help_text="why: the words that counted and the nearest labelled comments, where flagged",
    )
    created_at = models.DateTimeField(db_default=Now())

    seen_by = by_names("comment__source", "comment__account")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(score__lte=100), name="score_is_percent"),
        ]
        indexes = [
            models.Index(fields=["label", "comment"], name="intent_by_label"),
        ]

    def __str__(self) -> str:
        return f"{self.label} {self.score}"


class Review(models.Model):
    """A flagged purchase intent and its decision. Written only by `intents.reviews`.

    Retired with its comment; the message of an approved one says why it was sent.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        REJECTED = "rejected"

    intent = models.OneToOneField(
        IntentResult, on_delete=models.DO_NOTHING, db_constraint=False, related_name="review"
    )
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    flagged_at = models.DateTimeField(db_default=Now())
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT
    )
    decided_by_rule = models.CharField(
        max_length=200, blank=True, help_text="the campaign's rule, when no person decided"
    )
    note = models.TextField(blank=True, max_length=2000)
    corrected_label = models.CharField(
        max_length=20,
        choices=Label,
        blank=True,
        db_default="",
        help_text="what the comment is, where the operator says that the model was wrong",
    )
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="who has its page open; nobody any more after claimed_until",
    )
    claimed_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    snoozed_until = models.DateTimeField(
        null=True, blank=True, help_text="waits for nobody before that"
    )
    snoozed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    seen_by = by_names("intent__comment__source", "intent__comment__account")

    class Meta:
        permissions = [("decide_review", "Can approve and reject reviews")]
        constraints = [
            models.CheckConstraint(
                name="decision_has_time_and_author",
                condition=models.Q(status="pending", decided_at=None, decided_by=None)
                | ~models.Q(status="pending")
                & models.Q(decided_at__isnull=False)
                & (models.Q(decided_by__isnull=False) | ~models.Q(decided_by_rule="")),
            ),
        ]
        indexes = [
            models.Index(
                fields=["flagged_at"], name="review_pending", condition=models.Q(status="pending")
            ),
            # how often operators agree with the model
            models.Index(
                fields=["decided_at", "status"],
                name="review_by_operator",
                condition=models.Q(decided_by__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"review {self.pk} ({self.status})"


class AnalysisFailure(models.Model):
    """A comment whose analysis failed. Written only by `intents.failures`.

    It is out of the queue until `retry_at`, and parked for an operator when there is none.
    """

    comment_id = models.BigIntegerField(primary_key=True)
    attempts = models.PositiveSmallIntegerField(help_text="how often it was tried")
    reason = models.TextField(max_length=500)
    failed_at = models.DateTimeField(db_default=Now())
    retry_at = models.DateTimeField(null=True, blank=True)

    seen_by = by_comment("comment_id")

    class Meta:
        permissions = [("retry_analysis", "Can have parked comments analysed again")]
        indexes = [
            models.Index(
                fields=["retry_at"],
                name="analysis_to_retry",
                condition=models.Q(retry_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"comment {self.comment_id}: {self.reason}"

    @property
    def is_parked(self) -> bool:
        return self.retry_at is None


class ModelVersion(models.Model):
    """A trained model and what it does. Written only by `intents.registry`."""

    class Role(models.TextChoices):
        CHAMPION = "champion", "champion (answers)"
        CHALLENGER = "challenger", "challenger (is tried)"
        RETIRED = "retired"

    name = models.CharField(max_length=100, unique=True)
    role = models.CharField(max_length=10, choices=Role, default=Role.RETIRED)
    traffic_percent = models.PositiveSmallIntegerField(
        default=0,
        help_text="a challenger's share of the comments that it answers itself; of all others it "
        "is asked too, and its answer only stored (shadow)",
    )
    card = models.JSONField(help_text="data, settings, thresholds and metrics of the training")
    content = models.BinaryField(
        null=True, editable=False, help_text="the model's files; null for the one that is shipped"
    )
    created_at = models.DateTimeField(db_default=Now())
    promoted_at = models.DateTimeField(null=True, blank=True)
    promoted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT
    )

    class Meta:
        permissions = [("promote_model", "Can promote, roll back and try models")]
        constraints = [
            models.UniqueConstraint(
                fields=["role"], name="one_champion", condition=models.Q(role="champion")
            ),
            models.CheckConstraint(
                name="share_is_percent", condition=models.Q(traffic_percent__lte=100)
            ),
            models.CheckConstraint(
                name="only_challengers_share",
                condition=models.Q(traffic_percent=0) | models.Q(role="challenger"),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ShadowPrediction(models.Model):
    """What a model said of a comment that another one answered. Written only by
    `intents.experiments`; partitioned and dropped like the results."""

    pk = models.CompositePrimaryKey("comment_id", "version")
    comment_id = models.BigIntegerField()
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, db_constraint=False)
    label = models.CharField(max_length=20, choices=Label)
    score = models.PositiveSmallIntegerField(help_text="as in IntentResult")

    seen_by = by_comment("comment_id")

    class Meta:
        indexes = [
            models.Index(fields=["version", "comment_id"], name="shadow_by_version"),
        ]

    def __str__(self) -> str:
        return f"{self.label} {self.score}"
