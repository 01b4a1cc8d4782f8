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
    "intents.view_analysisfailure",
    "intents.retry_analysis",
    "dmtrigger.view_campaign",
    "dmtrigger.view_variant",
    "dmtrigger.view_account",
    "dmtrigger.view_directmessage",
    "dmtrigger.settle_directmessage",
    "dmtrigger.cancel_directmessage",
    "dmtrigger.view_deliveryattempt",
    "dmtrigger.view_messageevent",
    "dmtrigger.view_refusal",
    "dmtrigger.view_person",
    "dmtrigger.add_person",
    "dmtrigger.change_person",
    "dmtrigger.view_click",
    "dmtrigger.view_conversion",
)
CAMPAIGN_MANAGERS = "Campaign managers"
CAMPAIGN_MANAGER_RIGHTS = (
    "comments.view_comment",
    "intents.view_intentresult",
    "intents.view_review",
    "dmtrigger.view_campaign",
    "dmtrigger.add_campaign",
    "dmtrigger.change_campaign",
    "dmtrigger.delete_campaign",
    "dmtrigger.view_variant",
    "dmtrigger.add_variant",
    "dmtrigger.change_variant",
    "dmtrigger.delete_variant",
    "dmtrigger.view_account",
    "dmtrigger.add_account",
    "dmtrigger.change_account",
    "dmtrigger.resume_account",
    "dmtrigger.view_directmessage",
    "dmtrigger.view_deliveryattempt",
    "dmtrigger.view_messageevent",
    "dmtrigger.view_refusal",
    "dmtrigger.view_click",
    "dmtrigger.view_conversion",
)
ADMINISTRATORS = "Model administrators"
ADMINISTRATOR_RIGHTS = (
    "intents.view_intentresult",
    "intents.view_modelversion",
    "intents.promote_model",
)
ROLES = (
    (OPERATORS, OPERATOR_RIGHTS),
    (CAMPAIGN_MANAGERS, CAMPAIGN_MANAGER_RIGHTS),
    (ADMINISTRATORS, ADMINISTRATOR_RIGHTS),
)


def ensure_roles(using: str, **_: Any) -> None:
    """Make the groups and give each exactly its rights (a post_migrate receiver).

    post_migrate is sent once per app; until the last app's permissions exist a group has part of
    its rights, after it all of them.
    """
    for name, rights in ROLES:
        wanted = Q()
        for right in rights:
            app, codename = right.split(".")
            wanted |= Q(content_type__app_label=app, codename=codename)
        group, _created = Group.objects.using(using).get_or_create(name=name)
        group.permissions.set(Permission.objects.using(using).filter(wanted))
