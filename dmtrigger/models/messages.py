"""The outbox of messages, every attempt to deliver one, and what was not sent."""

from django.db import models
from django.db.models.functions import Now

from comments.parsing import MAX_ID_LENGTH
from comments.scope import by_account, by_comment
from dmtrigger.models.campaigns import Account, Campaign, Variant
from dmtrigger.policy import Rule
from dmtrigger.senders.contract import Channel
from dmtrigger.states import CLAIMABLE, WAITING, State
from intents.models import Review


class DirectMessage(models.Model):
    """The one message for one comment. Written only by `dmtrigger.outbox`.

    `comment_id` is unique: whatever is approved, raced or repeated, a second message for a comment
    cannot be stored, whichever campaign it is of. A message outlives its comment and the review,
    which are retired after `RETENTION_DAYS`, so it carries all that is needed to send it and to
    say why it was sent.
    """

    comment_id = models.BigIntegerField(unique=True)
    external_id = models.CharField(max_length=MAX_ID_LENGTH, help_text="the comment's, over there")
    source = models.CharField(max_length=50, help_text="the comment's platform")
    post_id = models.CharField(max_length=MAX_ID_LENGTH)
    posted_at = models.DateTimeField(help_text="when the comment was written")
    reason = models.TextField(help_text="what the model said, and who approved")
    score = models.PositiveSmallIntegerField(null=True)
    model_version = models.CharField(max_length=100, blank=True)
    review = models.OneToOneField(
        Review, on_delete=models.SET_NULL, null=True, related_name="message"
    )
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="messages")
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="messages")
    variant = models.ForeignKey(Variant, on_delete=models.SET_NULL, null=True)
    channel = models.CharField(
        max_length=20, choices=Channel.choices, default=Channel.DIRECT_MESSAGE
    )
    sender = models.CharField(max_length=50)
    recipient = models.CharField(max_length=MAX_ID_LENGTH)
    text = models.TextField()
    link = models.URLField(max_length=1_000, blank=True, help_text="where its short link leads")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    maybe_delivered = models.BooleanField(
        default=False, help_text="the outcome of an attempt was never known"
    )
    next_attempt_at = models.DateTimeField(
        null=True, blank=True, help_text="when it is due; empty: not again by itself"
    )
    expires_at = models.DateTimeField(help_text="when the platform's window closes")
    claimed_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    platform_message_id = models.CharField(max_length=200, blank=True)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    seen_by = by_account("account")

    class Meta:
        permissions = [
            ("settle_directmessage", "Can say whether a message was delivered"),
            ("cancel_directmessage", "Can take back a message that waits"),
        ]
        indexes = [
            # what is claimed: an account's messages, the first to expire first
            models.Index(
                fields=["account", "expires_at"],
                name="message_due",
                condition=models.Q(state__in=CLAIMABLE, next_attempt_at__isnull=False),
            ),
            models.Index(
                fields=["claimed_at"],
                name="message_in_flight",
                condition=models.Q(state=State.SENDING),
            ),
            models.Index(fields=["state", "id"], name="message_by_state"),
            models.Index(fields=["post_id", "id"], name="message_by_post"),
            models.Index(fields=["recipient", "id"], name="message_by_recipient"),
            # how often a person was written to, and whether something still waits for them
            models.Index(
                fields=["recipient", "source", "sent_at"],
                name="message_by_person",
                condition=models.Q(state__in=[*WAITING, State.SENT]),
            ),
        ]

    def __str__(self) -> str:
        return f"message {self.pk} to {self.recipient} ({self.state})"

    @property
    def is_erased(self) -> bool:
        """Whether the person was taken out of it; only then it has no text. It is never sent."""
        return not self.text


class DeliveryAttempt(models.Model):
    """One call of the sender: stored before the request leaves, completed with its outcome.

    It is also the slot that it takes of its account's hour (`dmtrigger.pacing`).
    """

    message = models.ForeignKey(
        DirectMessage,
        on_delete=models.CASCADE,
        related_name="log",
        db_index=False,  # the constraint has one
    )
    number = models.PositiveSmallIntegerField()
    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_index=False)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True)
    detail = models.TextField(blank=True)
    takes_slot = models.BooleanField(
        default=True, help_text="counts against the hour; one that certainly failed does not"
    )

    seen_by = by_account("account")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["message", "number"], name="attempt_number_once"),
        ]
        indexes = [
            models.Index(
                fields=["account", "finished_at"],
                name="attempt_slots",
                condition=models.Q(takes_slot=True),
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.outcome or 'under way'}"


class MessageEvent(models.Model):
    """A state that a message came to: its history. Written only by `dmtrigger.outbox`."""

    message = models.ForeignKey(DirectMessage, on_delete=models.CASCADE, related_name="events")
    state = models.CharField(max_length=10, choices=State)
    detail = models.TextField(blank=True)
    by = models.CharField(max_length=150, blank=True, help_text="who, when a person did it")
    at = models.DateTimeField(db_default=Now())

    seen_by = by_account("message__account")

    def __str__(self) -> str:
        return f"{self.state} at {self.at}"


class Refusal(models.Model):
    """A message that was not sent, by which rule, and why. Written only by `dmtrigger.refusals`.

    Kept once for a comment, campaign and rule; dropped with its comment.
    """

    comment_id = models.BigIntegerField()
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE)
    rule = models.CharField(max_length=20, choices=Rule.choices)
    reason = models.TextField()
    at = models.DateTimeField(db_default=Now())

    seen_by = by_comment("comment_id")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["comment_id", "campaign", "rule"], name="refusal_once"),
        ]
        indexes = [
            models.Index(fields=["rule", "id"], name="refusal_by_rule"),
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.reason}"
