"""Who did what to what. The only writer of `AuditEntry`; what is written cannot be changed."""

from typing import Any

from dmtrigger.models import AuditEntry


def record(actor: str, action: str, target: str, **details: Any) -> None:
    """Add an entry, in the caller's transaction: what is undone was not done.

    `actor` is a user's name or the program's part; `target` names a row (`message 12`) or a person.
    """
    AuditEntry.objects.create(actor=actor, action=action, target=target[:200], details=details)
