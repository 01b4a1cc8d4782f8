"""What a token of the API can be limited to: named parts of its user's rights, in one list."""

from collections.abc import Collection

from django.db import models


class Scope(models.TextChoices):
    """A name for some permissions, and what they come to."""

    READ = "read", "see everything that the API shows, except people's data"
    INGEST = "ingest", "hand in comments"
    MONITORS = "monitors", "watch posts"
    REVIEWS = "reviews", "decide reviews, undo approvals"
    CAMPAIGNS = "campaigns", "make and change campaigns"
    MESSAGES = "messages", "take messages back, settle unknown ones"
    ACCOUNTS = "accounts", "end pauses of accounts"
    OPT_OUTS = "opt-outs", "opt people out, take it back"
    MODELS = "models", "try, promote and retire models"
    PEOPLE = "people", "export and erase a person's data"


PERMISSIONS: dict[str, frozenset[str]] = {
    Scope.READ: frozenset(
        {
            "comments.view_comment",
            "comments.view_monitor",
            "intents.view_intentresult",
            "intents.view_review",
            "intents.view_modelversion",
            "dmtrigger.view_campaign",
            "dmtrigger.view_directmessage",
            "dmtrigger.view_account",
            "dmtrigger.view_person",
            "dmtrigger.view_refusal",
            "dmtrigger.view_conversion",
        }
    ),
    Scope.INGEST: frozenset({"comments.add_comment"}),
    Scope.MONITORS: frozenset(
        {"comments.view_monitor", "comments.add_monitor", "comments.change_monitor"}
    ),
    Scope.REVIEWS: frozenset({"intents.view_review", "intents.decide_review"}),
    Scope.CAMPAIGNS: frozenset(
        {"dmtrigger.view_campaign", "dmtrigger.add_campaign", "dmtrigger.change_campaign"}
    ),
    Scope.MESSAGES: frozenset(
        {
            "dmtrigger.view_directmessage",
            "dmtrigger.cancel_directmessage",
            "dmtrigger.settle_directmessage",
        }
    ),
    Scope.ACCOUNTS: frozenset({"dmtrigger.view_account", "dmtrigger.resume_account"}),
    Scope.OPT_OUTS: frozenset(
        {"dmtrigger.view_person", "dmtrigger.add_person", "dmtrigger.change_person"}
    ),
    Scope.MODELS: frozenset({"intents.view_modelversion", "intents.promote_model"}),
    Scope.PEOPLE: frozenset({"dmtrigger.erase_person"}),
}


def scopes_with(permission: str) -> list[str]:
    """The scopes that a call needs one of, if it needs this permission."""
    return [scope for scope, permissions in PERMISSIONS.items() if permission in permissions]


def allow(scopes: Collection[str] | None, permission: str) -> bool:
    """Whether a token with these scopes has the permission, if its user does. None: all scopes.

    A name that there is no more allows nothing.
    """
    return scopes is None or not set(scopes).isdisjoint(scopes_with(permission))
