"""Tokens of the API: what they may do, and when they were used."""

import re
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.models import AuthToken

from tests.factories import UserFactory
from threadsagent import tokens
from threadsagent.models import TokenLimits
from threadsagent.scopes import PERMISSIONS, Scope

pytestmark = pytest.mark.django_db
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def root():
    return UserFactory(username="root", is_superuser=True)


def issue(user, *scopes: str) -> dict[str, str]:
    """The header of a new token's calls; without scopes it may do everything."""
    _token, key = tokens.issue(user, scopes or None, timedelta(days=1))
    return {"Authorization": f"Token {key}"}


# Scopes -----------------------------------------------------------------------------------------


def test_a_token_without_scopes_may_do_all_that_its_user_may(client, root):
    header = issue(root)
    assert client.get("/reviews", headers=header).status_code == 200
    assert client.get("/models", headers=header).status_code == 200


def test_a_token_from_before_there_were_scopes_may_do_what_it_might(client, root):
    _token, key = AuthToken.objects.create(root)
    header = {"Authorization": f"Token {key}"}
    for _ in range(2):
        assert client.get("/reviews", headers=header).status_code == 200


def test_the_refusal_names_the_scopes_that_would_do(client, root):
    answer = client.get("/reviews", headers=issue(root, Scope.INGEST))
    assert answer.status_code == 403
    assert answer.json()["detail"].endswith("the scope that this needs: read or reviews.")


def test_a_scope_gives_nothing_that_the_user_may_not(client):
    answer = client.get("/reviews", headers=issue(UserFactory(), Scope.READ))
    assert answer.status_code == 403
    assert "scope" not in answer.json()["detail"]


def test_several_scopes_add_up(client, root):
    header = issue(root, Scope.REVIEWS, Scope.MODELS)
    answers = [client.get(path, headers=header).status_code for path in ("/reviews", "/models")]
    assert answers == [200, 200]
    assert client.get("/campaigns", headers=header).status_code == 403


@pytest.mark.parametrize("scopes", [[], ["gone"]])
def test_no_scope_and_one_that_is_there_no_more_allow_nothing(client, root, scopes):
    header = issue(root, Scope.READ)
    TokenLimits.objects.update(scopes=scopes)
    assert client.get("/reviews", headers=header).status_code == 403


def test_each_permission_of_a_scope_is_one_that_there_is(root):
    assert frozenset[str]().union(*PERMISSIONS.values()) <= root.get_all_permissions()


@pytest.mark.parametrize("scope", Scope)
def test_the_documentation_lists_what_a_scope_allows(scope):
    [row] = re.findall(rf"^\| `{scope}` \|(.*)$", (PROJECT / "docs/api.md").read_text(), re.M)
    assert set(re.findall(r"`(\w+\.\w+)`", row)) == PERMISSIONS[scope]


def test_the_command_makes_tokens_with_scopes(root):
    out = StringIO()
    call_command("issue_api_token", "root", "--scope", "read", "--scope", "ingest", stdout=out)
    assert TokenLimits.objects.get().scopes == ["ingest", "read"]
    call_command("issue_api_token", "root", stdout=out)
    assert TokenLimits.objects.latest("token__created").scopes is None


def test_the_schema_says_of_each_call_which_scopes_do(admin_client):
    schema = admin_client.get("/api/schema", {"format": "json"}).json()
    security = schema["paths"]["/api/v1/reviews"]["get"]["security"]
    assert security == [
        *({"knoxApiToken": ["read"]}, {"knoxApiToken": ["reviews"]}),
        {"cookieAuth": []},
    ]
    said = schema["components"]["securitySchemes"]["knoxApiToken"]["description"]
    assert all(f"`{scope}`: {scope.label}" in said for scope in Scope)
    for path in schema["paths"].values():
        for operation in path.values():
            assert operation["operationId"] == "conversions_create" or operation["security"][1:]


# When they were used ----------------------------------------------------------------------------


def used() -> bool:
    """Whether the only token was used just now."""
    last = TokenLimits.objects.get().last_used_at
    return last is not None and timezone.now() - last < timedelta(seconds=30)


def test_a_token_that_was_never_used_says_so(root):
    issue(root)
    assert TokenLimits.objects.get().last_used_at is None


@pytest.mark.parametrize("path", ["/reviews", "/reviews/0", "/models"])
def test_a_call_is_noted_whatever_comes_of_it(client, root, path):
    client.get(path, headers=issue(root, Scope.REVIEWS))
    assert used()


def test_a_token_without_a_row_gets_one(client, root):
    _token, key = AuthToken.objects.create(root)
    client.get("/reviews", headers={"Authorization": f"Token {key}"})
    assert used()


def test_a_wrong_key_uses_nothing(client, root):
    [key] = issue(root).values()
    client.get("/reviews", headers={"Authorization": f"{key[:-1]}x"})
    assert TokenLimits.objects.get().last_used_at is None


def test_it_is_written_at_most_once_in_some_minutes(client, root):
    header = issue(root)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        client.get("/reviews", headers=header)
        clock.shift(timedelta(minutes=4))
        with CaptureQueriesContext(connection) as queries:
            client.get("/reviews", headers=header)
        assert not any(query["sql"].startswith(("UPDATE", "INSERT")) for query in queries)
        clock.shift(timedelta(minutes=2))
        client.get("/reviews", headers=header)
        assert used()
