"""Who did what to what. The only writer of `AuditEntry`; what is written cannot be changed.

Nor can it be erased, so nothing that is known of a person may be told here: `people.in_audit` names
them, and what people wrote stays out of the details.
"""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Model

from dmtrigger.models import AuditEntry
from intents.models import ModelVersion, Review


def record(actor: str, action: str, target: str, **details: Any) -> AuditEntry:
    """Add an entry, in the caller's transaction: what is undone was not done.

    `actor` is a user's name or the program's part; `target` names a row (`message 12`) or a person
    (`people.in_audit`).
    """
    return AuditEntry.objects.create(
        actor=actor, action=action, target=target[:200], details=details
    )


def note_edit(actor: str, action: str, row: Model, changes: Any) -> None:
    """Which fields of a row were changed, not what they hold: there are secrets among them."""
    kind = str(row._meta.verbose_name)
    record(actor, f"{action} {kind}", f"{kind} {row.pk}", name=str(row), changes=changes)


def note_decision(review: Review, **_: Any) -> None:
    """A `review_decided` receiver."""
    person = review.decided_by
    said = {"rule": review.decided_by_rule} if person is None else {}
    record(
        "campaign" if person is None else person.get_username(),
        review.status,
        f"review {review.pk}",
        comment=review.intent_id,
        **said,
    )


def note_promotion(version: ModelVersion, user: AbstractBaseUser, **_: Any) -> None:
    """A `model_promoted` receiver."""
    record(user.get_username(), "promote model", f"model {version.name}")
