"""What `make run` shows."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from threadsagent.models import User
from threadsagent.roles import ROLES

pytestmark = pytest.mark.django_db


def set_up() -> str:
    out = StringIO()
    call_command("setup_demo", stdout=out)
    return str(json.loads(out.getvalue())["push_token"])


def test_there_is_a_user_for_each_role(monkeypatch, client):
    monkeypatch.setenv("DEMO_PASSWORD", "correct horse")
    set_up()
    staff = User.objects.filter(is_staff=True)
    assert sorted(staff.values_list("groups__name", flat=True)) == sorted(ROLES)
    assert not staff.filter(is_superuser=True).exists()
    for user in staff:
        assert client.login(username=user.username, password="correct horse")


def test_a_second_time_the_password_is_the_new_one_and_the_earlier_token_ends(monkeypatch, client):
    monkeypatch.setenv("DEMO_PASSWORD", "first")
    first = set_up()
    monkeypatch.setenv("DEMO_PASSWORD", "second")
    second = set_up()
    assert client.login(username="demo", password="second")
    assert not client.login(username="demo", password="first")
    client.logout()
    for key, status in ((first, 401), (second, 200)):
        header = {"Authorization": f"Token {key}"}
        assert client.get("/comments/monitor", headers=header).status_code == status


def test_without_a_password_nothing_is_set_up(monkeypatch):
    monkeypatch.delenv("DEMO_PASSWORD", raising=False)
    with pytest.raises(CommandError):
        call_command("setup_demo")
    assert not User.objects.exists()
