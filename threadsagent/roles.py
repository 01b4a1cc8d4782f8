"""The groups that people are put into. Their rights are here, and set at every migrate."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

OPERATORS = "Operators"
OPERATOR_RIGHTS = (
    "comments.view_comment",
    "comments.view_monitor",
    "intents.view_intentresult",
    "intents.view_review",
    "intents.decide_review",
    "dmtrigger.view_campaign",
    "dmtrigger.view_directmessage",
    "dmtrigger.settle_directmessage",
    "dmtrigger.view_deliveryattempt",
)


def ensure_roles(using: str, **_: Any) -> None:
    """Make the Operators group and give it exactly its rights (a post_migrate receiver).

    post_migrate is sent once per app; until the last app's permissions exist the group has part
    of its rights, after it all of them.
    """
    wanted = Q()
    for right in OPERATOR_RIGHTS:
        app, codename = right.split(".")
        wanted |= Q(content_type__app_label=app, codename=codename)
    group, _created = Group.objects.using(using).get_or_create(name=OPERATORS)
    group.permissions.set(Permission.objects.using(using).filter(wanted))
