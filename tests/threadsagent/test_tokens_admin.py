"""API tokens in the admin: shown once, for nobody with more rights, gone when deleted."""

import re

import pytest
from django.contrib.auth.models import Group
from knox.models import AuthToken

from dmtrigger.models import AuditEntry
from tests.factories import UserFactory
from threadsagent.models import TokenLimits, User
from threadsagent.roles import ADMINISTRATORS, OPERATORS

pytestmark = pytest.mark.django_db
LIST = "/admin/knox/authtoken/"


@pytest.fixture
def ann(client) -> User:
    """An administrator, logged in."""
    user = UserFactory(username="ann", is_staff=True)
    user.groups.add(Group.objects.get(name=ADMINISTRATORS))
    client.force_login(user)
    return user


@pytest.fixture
def shop() -> User:
    user = UserFactory(username="shop")
    user.groups.add(Group.objects.get(name=OPERATORS))
    return user


def issue(client, user: User, days: int = 30, scopes: tuple[str, ...] = ("all",)) -> str:
    said = {"user": user.pk, "days": days, "scopes": scopes}
    answer = client.post(f"{LIST}add/", said)
    return str(answer.content.decode())


def key_on(html: str) -> str:
    found = re.search(r"<code>([0-9a-f]{64})</code>", html)
    assert found
    return found[1]


def test_a_token_is_shown_once_and_lets_its_user_in(client, ann, shop):
    key = key_on(issue(client, shop))
    token = AuthToken.objects.get()
    for later in (LIST, f"{LIST}{token.pk}/change/"):
        assert key not in client.get(later).content.decode()
    client.logout()
    header = {"Authorization": f"Token {key}"}
    assert client.get("/reviews", headers=header).status_code == 200


def test_a_token_that_is_deleted_lets_nobody_in(client, ann, shop):
    key = key_on(issue(client, shop))
    client.post(f"{LIST}{AuthToken.objects.get().pk}/delete/", {"post": "yes"})
    client.logout()
    header = {"Authorization": f"Token {key}"}
    assert client.get("/reviews", headers=header).status_code == 401


def test_who_made_and_revoked_it_is_in_the_audit_log(client, ann, shop):
    issue(client, shop)
    client.post(f"{LIST}{AuthToken.objects.get().pk}/delete/", {"post": "yes"})
    told = AuditEntry.objects.order_by("pk").values_list("actor", "action", "target")
    target = f"user {shop.pk}"
    assert list(told) == [("ann", "add token", target), ("ann", "delete token", target)]


def test_there_is_no_token_of_somebody_with_more_rights(client, ann):
    root = UserFactory(username="root", is_superuser=True)
    assert "rights that you do not have" in issue(client, root)
    assert not AuthToken.objects.exists()


def test_there_is_no_token_of_somebody_who_is_not_active(client, ann):
    assert "not active" in issue(client, UserFactory(is_active=False))


@pytest.mark.parametrize("days", [0, 3651])
def test_a_token_expires(client, ann, shop, days):
    assert "errorlist" in issue(client, shop, days)
    assert not AuthToken.objects.exists()


def test_what_a_token_may_do_is_chosen_and_nothing_is_chosen_already(client, ann, shop):
    assert "checked" not in client.get(f"{LIST}add/").content.decode().split("Auth token")[-1]
    assert "errorlist" in issue(client, shop, scopes=())
    assert not AuthToken.objects.exists()


def test_a_token_may_do_what_was_chosen(client, ann, shop):
    issue(client, shop, scopes=("reviews", "read"))
    assert TokenLimits.objects.get().scopes == ["read", "reviews"]
    assert "read, reviews" in client.get(LIST).content.decode()
    assert AuditEntry.objects.get().details["may"] == "read, reviews"


def test_a_token_for_everything_is_one_by_choice(client, ann, shop):
    issue(client, shop, scopes=("read", "all"))
    assert TokenLimits.objects.get().scopes is None
    assert "all that its user may" in client.get(LIST).content.decode()


def test_the_list_shows_which_tokens_nobody_uses(client, ann, shop, django_assert_max_num_queries):
    key = key_on(issue(client, shop))
    issue(client, shop, scopes=("read",))
    client.get("/reviews", headers={"Authorization": f"Token {key}"})
    with django_assert_max_num_queries(10):
        html = client.get(LIST, {"o": "6"}).content.decode()
    told = re.findall(r"field-last_used[^>]*>([^<]*)<", html)
    assert told[0] == "-"
    assert told[1] != "-"
