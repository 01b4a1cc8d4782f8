"""The people who are written to, and what was done to whom by whom."""

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from comments.models import Comment
from comments.parsing import MAX_ID_LENGTH
from comments.scope import Scope
from dmtrigger.models.messages import DirectMessage


def _who_is_known(scope: Scope) -> models.Q:
    """Who has commented under a post of these accounts or got a message from them, as far as that
    is kept. Their wish holds for the whole platform, so there is one row for all accounts."""
    theirs = {"source": OuterRef("source")}
    comments = scope.narrow(Comment.objects.filter(author=OuterRef("name"), **theirs))
    messages = scope.narrow(DirectMessage.objects.filter(recipient=OuterRef("name"), **theirs))
    return models.Q(Exists(messages)) | models.Q(Exists(comments))


class Person(models.Model):
    """Somebody with a wish that must be kept, or whom an operator talks to; most have no row.

    Written only by `dmtrigger.people`. A person is a name on a platform: Threads tells no id. Of
    one who was erased there is the pseudonym, if they wished not to be written to.
    """

    class By(models.TextChoices):
        REPLY = "reply", "their answer (STOP)"
        LINK = "link", "the link in a message"
        OPERATOR = "operator"

    source = models.CharField(max_length=50)
    name = models.CharField(max_length=MAX_ID_LENGTH, db_collation="C")
    opted_out_at = models.DateTimeField(null=True, blank=True)
    opted_out_until = models.DateTimeField(
        null=True, blank=True, help_text="empty while opted out: for good"
    )
    opted_out_by = models.CharField(max_length=10, choices=By, blank=True)
    blocked_at = models.DateTimeField(null=True, blank=True, help_text="by an operator")
    block_reason = models.CharField(max_length=200, blank=True)
    talking_until = models.DateTimeField(
        null=True, blank=True, help_text="an operator talks to them by hand until then"
    )
    talking_with = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    last_wrote_at = models.DateTimeField(
        null=True, blank=True, help_text="their last private message to us"
    )

    seen_by = _who_is_known
    rights_over_all = ("erase_person",)  # what is stored of a person is of all accounts

    class Meta:
        verbose_name_plural = "people"
        permissions = [("erase_person", "Can export and erase a person's data")]
        constraints = [
            models.UniqueConstraint(fields=["name", "source"], name="person_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"


class AuditEntry(models.Model):
    """Who did what to what. Written only by `dmtrigger.audit`; the database refuses changes.

    So nothing of the people who are written to may stand in it: they are named by pseudonyms.
    """

    at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=150, help_text="a user's name, or the program's part")
    action = models.CharField(max_length=50)
    target = models.CharField(max_length=200)
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "audit log"
        indexes = [
            models.Index(fields=["target", "id"], name="audit_by_target"),
        ]

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.target}"
