"""Campaigns, the outbox of messages, and every attempt to deliver one."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models.functions import Now

from comments.parsing import MAX_ID_LENGTH
from dmtrigger.rendering import TemplateProblem, check_template
from dmtrigger.states import State
from intents.models import Review

DEFAULT_TEMPLATE = (
    "Hi {{ author }}, thank you for your comment! Here is what you asked for: {{ link }}\n"
    "(This is an automated message; just answer if you would rather talk to us.)"
)


class Campaign(models.Model):
    """What is sent to the buyers under which posts."""

    name = models.CharField(max_length=100, unique=True)
    is_active = models.BooleanField(default=True)
    post_id = models.CharField(
        max_length=100, blank=True, help_text="only comments of this post; empty: of every post"
    )
    link = models.URLField(help_text="where the buyer is sent")
    template = models.TextField(
        default=DEFAULT_TEMPLATE,
        help_text="the message; knows {{ author }}, {{ post_id }} and {{ link }}",
    )
    auto_threshold = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(100)],
        help_text="approve without an operator from this score on; empty: never",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(auto_threshold__lte=100), name="auto_threshold_is_percent"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """The template must render, within what the platform takes; the threshold must matter."""
        try:
            check_template(self.template, link=self.link)
        except TemplateProblem as problem:
            raise ValidationError({"template": str(problem)}) from problem
        lowest = settings.REVIEW_MIN_SCORE
        if self.auto_threshold is not None and self.auto_threshold < lowest:
            reason = f"must be at least {lowest}: a lower score is not flagged at all"
            raise ValidationError({"auto_threshold": reason})


class DirectMessage(models.Model):
    """The one message for one comment. Written only by `dmtrigger.outbox`.

    `comment_id` is unique: whatever is approved, raced or repeated, a second message for a comment
    cannot be stored. A message outlives its comment and the review, which are retired after
    `RETENTION_DAYS`, so it carries all that is needed to send it and to say why it was sent.
    """

    comment_id = models.BigIntegerField(unique=True)
    external_id = models.CharField(max_length=MAX_ID_LENGTH, help_text="the comment's, over there")
    post_id = models.CharField(max_length=MAX_ID_LENGTH)
    posted_at = models.DateTimeField(help_text="when the comment was written")
    reason = models.TextField(help_text="what the model said, and who approved")
    review = models.OneToOneField(
        Review, on_delete=models.SET_NULL, null=True, related_name="message"
    )
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="messages")
    sender = models.CharField(max_length=50)
    recipient = models.CharField(max_length=100)
    text = models.TextField()
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    maybe_delivered = models.BooleanField(
        default=False, help_text="the outcome of an attempt was never known"
    )
    next_attempt_at = models.DateTimeField(
        null=True, blank=True, help_text="when it is due; empty: not again by itself"
    )
    claimed_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    platform_message_id = models.CharField(max_length=200, blank=True)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        permissions = [("settle_directmessage", "Can say whether a message was delivered")]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                name="message_due",
                condition=models.Q(state__in=[State.PENDING, State.UNKNOWN]),
            ),
            models.Index(
                fields=["claimed_at"],
                name="message_in_flight",
                condition=models.Q(state=State.SENDING),
            ),
            models.Index(fields=["state", "id"], name="message_by_state"),
        ]

    def __str__(self) -> str:
        return f"message {self.pk} to {self.recipient} ({self.state})"


class DeliveryAttempt(models.Model):
    """One call of the sender: stored before the request leaves, completed with its outcome."""

    message = models.ForeignKey(
        DirectMessage,
        on_delete=models.CASCADE,
        related_name="log",
        db_index=False,  # the constraint has one
    )
    number = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True)
    detail = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["message", "number"], name="attempt_number_once"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.outcome or 'under way'}"
