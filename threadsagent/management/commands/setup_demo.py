import json
from datetime import timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from knox.models import AuthToken

from comments import monitors
from dmtrigger.models import Campaign, Variant
from threadsagent import tokens
from threadsagent.fake_platform.player import load_samples
from threadsagent.models import User
from threadsagent.roles import (
    ADMINISTRATORS,
    CAMPAIGN_MANAGERS,
    MODEL_ADMINISTRATORS,
    OPERATORS,
    VIEWERS,
)
from threadsagent.scopes import Scope
from threadsagent.settings import env

USERS = {
    "demo": ADMINISTRATORS,
    "demo-viewer": VIEWERS,
    "demo-operator": OPERATORS,
    "demo-campaigns": CAMPAIGN_MANAGERS,
    "demo-models": MODEL_ADMINISTRATORS,
}
INTEGRATION = "demo-integration"


class Command(BaseCommand):
    help = (
        "Prepare what `make run` shows: a user of each role, with the password DEMO_PASSWORD, a "
        "campaign, a monitor for each sample post, and a token for the fake platform to hand in "
        "comments with, which is printed as a line of JSON. Running it again sets the "
        "passwords and the rights anew, and ends the earlier token."
    )

    @transaction.atomic
    def handle(self, **_: Any) -> None:
        password = env.str("DEMO_PASSWORD", default="")
        if not password:
            raise CommandError("set DEMO_PASSWORD")
        _make_users(password)
        campaign, is_new = Campaign.objects.get_or_create(
            name="Nordlicht launch",
            defaults={"link": "https://shop.example/nordlicht", "auto_threshold": 80},
        )
        if is_new:
            Variant.objects.create(campaign=campaign)
        for post_id in sorted({sample.post_id for sample in load_samples()}):
            monitors.start(post_id, source="fake_platform", interval_seconds=5)
        self.stdout.write(json.dumps({"push_token": _push_token()}))


def _make_users(password: str) -> None:
    hashed = make_password(password)  # once for all: it takes its time
    for name, role in USERS.items():
        said = {"is_staff": True, "password": hashed}
        user, _created = User.objects.update_or_create(username=name, defaults=said)
        user.groups.set([Group.objects.get(name=role)])
        user.user_permissions.clear()


def _push_token() -> str:
    """A fresh token; those of earlier runs end here."""
    user, _created = User.objects.get_or_create(username=INTEGRATION)
    user.set_unusable_password()
    user.save()
    calls = ("add_comment", "view_monitor", "add_monitor", "change_monitor")
    user.user_permissions.set(Permission.objects.filter(codename__in=calls))
    AuthToken.objects.filter(user=user).delete()
    _token, key = tokens.issue(user, [Scope.INGEST, Scope.MONITORS], timedelta(days=1))
    return key
