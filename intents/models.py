"""What the analysis found, and what the operators said of it."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from comments.models import Comment


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
    created_at = models.DateTimeField(db_default=Now())

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
        ]

    def __str__(self) -> str:
        return f"review {self.pk} ({self.status})"
