"""What came in, and which posts are watched."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now

from comments.parsing import MAX_ID_LENGTH
from comments.sources import MAX_CURSOR_LENGTH, SourceError, get_source


class Comment(models.Model):
    """One comment of one platform. `comments.ingest` inserts it, `comments.queue` moves it on.

    `external_id` is the platform's own id and unique within its `source`, so that the same
    comment is stored once whichever way it comes in.
    """

    source = models.CharField(max_length=50)
    external_id = models.CharField(max_length=MAX_ID_LENGTH)
    post_id = models.CharField(max_length=MAX_ID_LENGTH)
    text = models.TextField()
    author = models.CharField(max_length=MAX_ID_LENGTH)
    posted_at = models.DateTimeField(help_text="when the platform says it was written")
    created_at = models.DateTimeField(db_default=Now(), help_text="when it was stored here")
    analyzed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"], name="comment_once_per_source"
            ),
        ]
        indexes = [
            # the queue of the analysis: small however large the table grows
            models.Index(
                fields=["id"], name="comment_unanalyzed", condition=models.Q(analyzed_at=None)
            ),
            models.Index(fields=["post_id", "-posted_at"], name="comment_by_post"),
            models.Index(fields=["author", "-posted_at"], name="comment_by_author"),
        ]

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:60]}"


class Monitor(models.Model):
    """A post that is watched: polled by beat from the last page read on (`comments.polling`)."""

    source = models.CharField(max_length=50)
    post_id = models.CharField(max_length=MAX_ID_LENGTH)
    is_active = models.BooleanField(default=True)
    cursor = models.CharField(max_length=MAX_CURSOR_LENGTH, blank=True, editable=False)
    leased_until = models.DateTimeField(null=True, editable=False)
    comments_processed = models.PositiveBigIntegerField(default=0, editable=False)
    last_processed = models.DateTimeField(null=True, blank=True, editable=False)
    error_count = models.PositiveIntegerField(
        default=0, editable=False, help_text="failed polls since the last one that went well"
    )
    last_error = models.TextField(blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "post_id"], name="monitor_once_per_post"),
        ]

    def __str__(self) -> str:
        return f"{self.post_id} ({self.source})"

    def clean(self) -> None:
        """The source must be one there is."""
        try:
            get_source(self.source)
        except SourceError as error:
            raise ValidationError({"source": str(error)}) from error
