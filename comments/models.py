"""What came in, and which posts are watched."""

import secrets
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from comments.parsing import MAX_ID_LENGTH
from comments.scope import by_names
from comments.sources import MAX_CURSOR_LENGTH, SourceError, get_source


class Comment(models.Model):
    """One comment of one platform. `comments.ingest` inserts it, `comments.queue` moves it on,
    `comments.erasure` empties it.

    The table is partitioned by day (`comments.partitions`): the database gives out ids that grow
    with the day, so the newest comments are those with the highest ids, and an id says which
    partition it is in. That is why the indexes end with the id where one would expect a time.
    """

    source = models.CharField(max_length=50)
    external_id = models.CharField(
        max_length=MAX_ID_LENGTH, db_collation="C", help_text="the platform's own id"
    )
    post_id = models.CharField(max_length=MAX_ID_LENGTH, db_collation="C")
    account = models.CharField(
        max_length=MAX_ID_LENGTH,
        db_default="",
        blank=True,
        help_text="the brand's account whose post it is; empty: the source's only one",
    )
    text = models.TextField()
    author = models.CharField(max_length=MAX_ID_LENGTH, db_collation="C")
    posted_at = models.DateTimeField(help_text="when the platform says it was written")
    author_followers = models.PositiveIntegerField(
        null=True, blank=True, help_text="how many follow the author; null: the platform is silent"
    )
    author_verified = models.BooleanField(
        db_default=False, help_text="whether the platform has verified the author"
    )
    created_at = models.DateTimeField(db_default=Now(), help_text="when it was stored here")
    analyzed_at = models.DateTimeField(null=True, blank=True)

    seen_by = by_names("source", "account")

    class Meta:
        indexes = [
            # the queue of the analysis: small however large the table grows
            models.Index(
                fields=["id"], name="comment_unanalyzed", condition=models.Q(analyzed_at=None)
            ),
            models.Index(fields=["post_id", "id"], name="comment_by_post"),
            models.Index(fields=["author", "id"], name="comment_by_author"),
            # for who sees some accounts only; a brand whose only account has no name pays nothing
            models.Index(
                fields=["account", "id"], name="comment_by_account", condition=~models.Q(account="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:60]}"

    @property
    def is_influencer(self) -> bool:
        """Whether many listen to the author, so that a person may want to answer by hand."""
        followers = self.author_followers or 0
        return self.author_verified or followers >= settings.INFLUENCER_FOLLOWERS


class SeenComment(models.Model):
    """The ledger: every comment that ever came in, so that none is stored a second time.

    It outlives the comments: one that was retired and is fetched again is still known. Written
    only by `comments.ingest`. The primary key is what makes ingestion exact; the id comes first
    in it since it differs sooner than the source.
    """

    pk = models.CompositePrimaryKey("external_id", "source")
    external_id = models.CharField(max_length=MAX_ID_LENGTH, db_collation="C")
    source = models.CharField(max_length=50, db_collation="C")
    comment_id = models.BigIntegerField(help_text="the comment's id here, also when it is retired")

    def __str__(self) -> str:
        return f"{self.external_id} ({self.source})"


def new_task_id() -> str:
    """`monitor_` and eight hex digits, the spec's form."""
    return f"monitor_{secrets.token_hex(4)}"


class Monitor(models.Model):
    """A post that is watched: polled from the last page read on (`comments.polling`)."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        DEGRADED = "degraded", "degraded (fails, asked more seldom)"
        STOPPED = "stopped"

    task_id = models.CharField(max_length=16, unique=True, default=new_task_id, editable=False)
    source = models.CharField(max_length=50)
    post_id = models.CharField(max_length=MAX_ID_LENGTH)
    account = models.CharField(
        max_length=MAX_ID_LENGTH,
        blank=True,
        default="",
        help_text="the brand's account whose post it is; empty: the source's only one",
    )
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    interval_seconds = models.PositiveIntegerField(
        default=60,
        validators=[MinValueValidator(5), MaxValueValidator(86_400)],
        help_text="time between two polls that go well",
    )
    next_poll_at = models.DateTimeField(db_default=Now(), editable=False)
    cursor = models.CharField(max_length=MAX_CURSOR_LENGTH, blank=True, editable=False)
    leased_until = models.DateTimeField(null=True, editable=False)
    comments_processed = models.PositiveBigIntegerField(default=0, editable=False)
    last_processed = models.DateTimeField(null=True, blank=True, editable=False)
    error_count = models.PositiveIntegerField(
        default=0, editable=False, help_text="failed polls since the last one that went well"
    )
    last_error = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    seen_by = by_names("source", "account")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "post_id"], name="monitor_once_per_post"),
        ]
        indexes = [
            models.Index(
                fields=["next_poll_at"], name="monitor_due", condition=~models.Q(status="stopped")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.post_id} ({self.source})"

    @property
    def interval(self) -> timedelta:
        return timedelta(seconds=self.interval_seconds)

    def clean(self) -> None:
        """The source must be one there is."""
        try:
            get_source(self.source)
        except SourceError as error:
            raise ValidationError({"source": str(error)}) from error


class FileImport(models.Model):
    """How far the import of a file has come, stored with each of its chunks (`import_comments`)."""

    source = models.CharField(max_length=50)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the file, in hex")
    name = models.CharField(max_length=255)
    position = models.PositiveBigIntegerField(default=0, help_text="bytes that are done with")
    line = models.PositiveBigIntegerField(default=0, help_text="lines that are done with")
    received = models.PositiveBigIntegerField(default=0)
    stored = models.PositiveBigIntegerField(default=0)
    duplicates = models.PositiveBigIntegerField(default=0)
    refused = models.PositiveBigIntegerField(default=0)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "digest"], name="import_once_per_file"),
        ]

    def __str__(self) -> str:
        return self.name


class IdempotentCall(models.Model):
    """What a call with an `Idempotency-Key` was answered; kept for a day, by
    `comments.idempotency`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of what was asked for, in hex")
    status = models.PositiveSmallIntegerField()
    answer = models.TextField(help_text="JSON")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="idempotent_call_once_per_key"),
        ]
        indexes = [models.Index(fields=["at"], name="idempotent_call_by_age")]

    def __str__(self) -> str:
        return self.key
