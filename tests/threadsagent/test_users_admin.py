"""Nobody gives a right that they do not have, nor rules over who has it."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission

from dmtrigger.models import AuditEntry
from tests.factories import UserFactory
from threadsagent.models import User
from threadsagent.roles import ADMINISTRATORS, MODEL_ADMINISTRATORS, OPERATORS

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(client) -> User:
    """An administrator, logged in."""
    user = UserFactory(username="ann", is_staff=True)
    user.groups.add(Group.objects.get(name=ADMINISTRATORS))
    client.force_login(user)
    return user


def page(user: User, name: str = "change") -> str:
    return f"/admin/threadsagent/user/{user.pk}/{name}/"


def save(client, user: User, **said: Any) -> str:
    """What the page of the user says when it is saved with this; empty if all went well."""
    form = {"username": user.username, "date_joined_0": "2026-01-01", "date_joined_1": "10:00:00"}
    answer = client.post(page(user), form | said)
    user.refresh_from_db()
    return "" if answer.status_code == 302 else answer.content.decode()


def test_an_administrator_adds_an_operator(client, ann):
    form = {"username": "olga", "usable_password": "true", "password1": "correct horse 1"}
    client.post("/admin/threadsagent/user/add/", form | {"password2": "correct horse 1"})
    olga = User.objects.get(username="olga")
    group = Group.objects.get(name=OPERATORS)
    assert not save(client, olga, is_active="on", is_staff="on", groups=[group.pk])
    assert olga.is_staff
    assert list(olga.groups.all()) == [group]


def test_what_is_changed_of_users_is_in_the_audit_log(client, ann):
    olga = UserFactory(username="olga")
    save(client, olga, is_staff="on")
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor, entry.action, entry.target) == ("ann", "change user", f"user {olga.pk}")


def test_an_administrator_makes_nobody_a_superuser(client, ann):
    assert not save(client, ann, is_active="on", is_staff="on", is_superuser="on")
    assert not ann.is_superuser


def test_an_administrator_gives_no_permission_that_they_do_not_have(client, ann):
    olga = UserFactory(username="olga")
    right = Permission.objects.get(codename="change_group")
    assert "rights that you do not have" in save(client, olga, user_permissions=[right.pk])
    assert not olga.user_permissions.exists()


def test_an_administrator_gives_no_group_with_a_right_that_they_do_not_have(client, ann):
    group = Group.objects.create(name="everything")
    group.permissions.add(Permission.objects.get(codename="change_group"))
    assert "rights that you do not have" in save(client, ann, groups=[group.pk])
    assert not ann.groups.filter(name="everything").exists()


@pytest.mark.parametrize("is_active", [True, False])
def test_an_administrator_changes_no_superuser_and_sets_no_password_of_theirs(
    client, ann, is_active
):
    root = UserFactory(username="root", is_superuser=True, is_active=is_active)
    assert client.get(page(root)).status_code == 200  # to look at
    assert client.post(page(root), {"username": "root"}).status_code == 403
    assert client.post(page(root, "password"), {}).status_code == 403


def test_who_has_a_right_more_is_not_changed_either(client, ann):
    other = UserFactory(username="other")
    other.user_permissions.add(Permission.objects.get(codename="change_group"))
    assert client.post(page(other), {"username": "other"}).status_code == 403


def test_a_superuser_may_do_all_that(admin_client):
    root = UserFactory(username="root", is_superuser=True)
    group = Group.objects.get(name=MODEL_ADMINISTRATORS)
    said = {"is_superuser": "on", "is_active": "on", "groups": [group.pk]}
    assert not save(admin_client, root, **said)
    assert root.is_superuser
    assert not save(admin_client, root, is_active="on")
    assert not root.is_superuser
