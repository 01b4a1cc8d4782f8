"""Who writes, to whom, and what: accounts, campaigns, and the variants of their message."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from comments.parsing import MAX_ID_LENGTH
from comments.scope import by_account
from dmtrigger.models.webhooks import WebhookEndpoint
from dmtrigger.rendering import TemplateProblem, check_template
from dmtrigger.schedule import check_time_zone
from dmtrigger.senders.contract import Channel

DEFAULT_TEMPLATE = (
    "Hi {{ author }}, thank you for your comment! Here is what you asked for: {{ link }}\n"
    "(This is an automated message; answer STOP to get no more of them.)"
)


class Account(models.Model):
    """An account of the brand on a platform, from which messages are sent, at its own pace.

    The pauses and the usage are written by `dmtrigger.pacing`, the rest in the admin.
    """

    source = models.CharField(max_length=50)
    name = models.CharField(
        max_length=MAX_ID_LENGTH, blank=True, help_text="as comments name it; empty: the only one"
    )
    usernames = models.CharField(
        max_length=500,
        blank=True,
        help_text="the account's own user names, with commas between: their comments are never "
        "answered",
    )
    hourly_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="messages in any hour; empty: MESSAGES_PER_HOUR, and never more than the "
        "platform allows",
    )
    next_slot_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="no message may leave before"
    )
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)
    pause_reason = models.TextField(blank=True, editable=False)
    usage_percent = models.FloatField(
        null=True, blank=True, editable=False, help_text="of its limit, as the platform said"
    )
    usage_at = models.DateTimeField(null=True, blank=True, editable=False)

    seen_by = by_account("pk")
    rights_over_all = ("add_account",)  # it would be none of those that are seen

    class Meta:
        permissions = [("resume_account", "Can end the pause of an account")]
        constraints = [
            models.UniqueConstraint(fields=["source", "name"], name="account_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.source})" if self.name else self.source

    def owns(self, author: str) -> bool:
        """Whether a user name is this account's own."""
        own = [self.name, *self.usernames.split(",")]
        return author.casefold() in {name.strip().lstrip("@").casefold() for name in own if name}


class Campaign(models.Model):
    """What is sent to the buyers under which posts, and when."""

    name = models.CharField(max_length=100, unique=True)
    is_active = models.BooleanField(default=True)
    priority = models.PositiveSmallIntegerField(
        default=100, help_text="of several that match, the lowest answers"
    )
    account = models.ForeignKey(
        Account,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        help_text="only comments under this account's posts; empty: of every account",
    )
    post_id = models.CharField(
        max_length=MAX_ID_LENGTH,
        blank=True,
        help_text="only comments of this post; empty: of every post",
    )
    min_score = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(100)],
        help_text="answers comments from this score on (none below REVIEW_MIN_SCORE is flagged)",
    )
    auto_threshold = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(100)],
        help_text="approve without an operator from this score on; empty: never",
    )
    required_words = models.TextField(
        blank=True, help_text="with commas or lines between: the comment must have one of them"
    )
    excluded_words = models.TextField(
        blank=True, help_text="the comment must have none of these words or phrases"
    )
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)

    channel = models.CharField(
        max_length=20, choices=Channel.choices, default=Channel.DIRECT_MESSAGE
    )
    endpoint = models.ForeignKey(
        WebhookEndpoint,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        help_text="who is handed the message, for the channel webhook",
    )
    link = models.URLField(max_length=500, help_text="where the buyer is sent")
    utm_source = models.CharField(max_length=100, blank=True, help_text="added to the link")
    utm_medium = models.CharField(max_length=100, blank=True)
    utm_campaign = models.CharField(max_length=100, blank=True)

    delay_seconds = models.PositiveIntegerField(
        default=0, help_text="between the approval and the sending"
    )
    quiet_from = models.TimeField(null=True, blank=True, help_text="nothing is sent from then …")
    quiet_until = models.TimeField(null=True, blank=True, help_text="… until then, every day")
    time_zone = models.CharField(
        max_length=50, default="UTC", validators=[check_time_zone], help_text="of the quiet hours"
    )
    created_at = models.DateTimeField(db_default=Now())

    seen_by = by_account("account", or_none=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(auto_threshold__lte=100), name="auto_threshold_is_percent"
            ),
            models.CheckConstraint(
                condition=models.Q(quiet_from=None, quiet_until=None)
                | models.Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="quiet_hours_have_both_ends",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """What would never send anything, or could not, is an error of its field."""
        problems: dict[str, str] = {}
        lowest = max(settings.REVIEW_MIN_SCORE, self.min_score or 0)
        if self.auto_threshold is not None and self.auto_threshold < lowest:
            problems["auto_threshold"] = f"must be at least {lowest}: lower is not answered at all"
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            problems["ends_at"] = "must be after the start"
        if (self.quiet_from is None) != (self.quiet_until is None):
            problems["quiet_until"] = "quiet hours need both ends, or none"
        elif self.quiet_from is not None and self.quiet_from == self.quiet_until:
            problems["quiet_until"] = "all day would be quiet"
        if (self.channel == Channel.WEBHOOK) != (self.endpoint_id is not None):
            problems["endpoint"] = "the channel webhook has one, and no other channel has"
        if problems:
            raise ValidationError(problems)


class Variant(models.Model):
    """One wording of a campaign's message; which one a comment gets is drawn by weight."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="variants")
    name = models.CharField(max_length=50, default="A")
    template = models.TextField(
        default=DEFAULT_TEMPLATE,
        help_text="the message; knows {{ author }}, {{ post_id }}, {{ link }} and {{ opt_out }}",
    )
    weight = models.PositiveSmallIntegerField(
        default=1, help_text="its share is this of the sum of all weights; 0: none"
    )

    seen_by = by_account("campaign__account", or_none=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "name"], name="variant_once"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """The template must render, within what the channel takes, for the longest name too."""
        try:
            check_template(self.template)
        except TemplateProblem as problem:
            raise ValidationError({"template": str(problem)}) from problem
