"""The groups that people are put into. Their rights are here, and set at every migrate."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

VIEWERS = "Viewers"
VIEWER_RIGHTS = (
    "comments.view_comment",
    "comments.view_monitor",
    "intents.view_intentresult",
    "intents.view_review",
    "intents.view_analysisfailure",
    "dmtrigger.view_campaign",
    "dmtrigger.view_variant",
    "dmtrigger.view_account",
    "dmtrigger.view_directmessage",
    "dmtrigger.view_deliveryattempt",
    "dmtrigger.view_messageevent",
    "dmtrigger.view_refusal",
    "dmtrigger.view_person",
    "dmtrigger.view_click",
    "dmtrigger.view_conversion",
)
OPERATORS = "Operators"
OPERATOR_RIGHTS = (
    *VIEWER_RIGHTS,
    "intents.decide_review",
    "intents.retry_analysis",
    "dmtrigger.settle_directmessage",
    "dmtrigger.cancel_directmessage",
    "dmtrigger.add_person",
    "dmtrigger.change_person",
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
# Stays a role of its own beside Administrators: who promotes models need not be trusted with users,
# tokens and people's data, and whoever is in the group must not come to these by an update.
MODEL_ADMINISTRATORS = "Model administrators"
MODEL_ADMINISTRATOR_RIGHTS = (
    "intents.view_intentresult",
    "intents.view_modelversion",
    "intents.promote_model",
)
ADMINISTRATORS = "Administrators"
ADMINISTRATOR_RIGHTS = (
    *sorted({*OPERATOR_RIGHTS, *CAMPAIGN_MANAGER_RIGHTS, *MODEL_ADMINISTRATOR_RIGHTS}),
    # no role's: they give them to those who hand in comments and watch posts over the API
    "comments.add_comment",
    "comments.add_monitor",
    "comments.change_monitor",
    "dmtrigger.view_webhookendpoint",
    "dmtrigger.add_webhookendpoint",
    "dmtrigger.change_webhookendpoint",
    "dmtrigger.delete_webhookendpoint",
    "dmtrigger.view_webhookdelivery",
    "dmtrigger.retry_webhookdelivery",
    "dmtrigger.view_auditentry",
    "dmtrigger.erase_person",
    "django_celery_results.view_taskresult",
    # Nobody is deleted: what they did would go with them. They are made inactive.
    "threadsagent.view_user",
    "threadsagent.add_user",
    "threadsagent.change_user",
    "auth.view_group",
    "knox.view_authtoken",
    "knox.add_authtoken",
    "knox.delete_authtoken",
)
ROLES = {
    VIEWERS: VIEWER_RIGHTS,
    OPERATORS: OPERATOR_RIGHTS,
    CAMPAIGN_MANAGERS: CAMPAIGN_MANAGER_RIGHTS,
    MODEL_ADMINISTRATORS: MODEL_ADMINISTRATOR_RIGHTS,
    ADMINISTRATORS: ADMINISTRATOR_RIGHTS,
}


def ensure_roles(using: str, **_: Any) -> None:
    """Make the groups and give each exactly its rights (a post_migrate receiver).

    post_migrate is sent once per app; until the last app's permissions exist a group has part of
    its rights, after it all of them.
    """
    for name, rights in ROLES.items():
        wanted = Q()
        for right in rights:
            app, codename = right.split(".")
            wanted |= Q(content_type__app_label=app, codename=codename)
        group, _created = Group.objects.using(using).get_or_create(name=name)
        group.permissions.set(Permission.objects.using(using).filter(wanted))
