"""Every path is closed unless it is open on purpose."""

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import URLPattern, URLResolver, get_resolver
from knox.models import AuthToken

from tests.factories import UserFactory
from threadsagent.roles import OPERATOR_RIGHTS

pytestmark = pytest.mark.django_db
OPEN = {"", "admin", "health", "health/live", "admin/login/", "admin/logout/", "admin/jsi18n/"}
OPEN |= {"o/1"}  # where who was written to says that they want no more messages


def paths(resolver: URLResolver, prefix: str = "") -> list[str]:
    """Every path there is, with 1 for each of its parameters."""
    found = []
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            found += paths(entry, prefix + str(entry.pattern))
        elif isinstance(entry, URLPattern):
            found.append(_example(prefix + str(entry.pattern)))
    return found


def _example(pattern: str) -> str:
    plain = re.sub(r"\(\?P<\w+>[^)]*\)", "1", pattern)
    plain = re.sub(r"<[^>]+>", "1", plain)
    return plain.replace("^", "").replace("$", "").replace("\\", "")


CLOSED = sorted(set(paths(get_resolver())) - OPEN)


@pytest.mark.parametrize("path", [path for path in CLOSED if "(" not in path])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stranger_gets_nowhere(client, path, method):
    answer = getattr(client, method)(f"/{path}")
    login = answer.status_code == 302 and answer.url.startswith("/admin/login/")
    assert login or answer.status_code in {401, 403, 405}, (answer.status_code, path)


def test_the_list_of_paths_is_a_real_one():
    assert {"comments/process", "reviews/1/approve", "metrics", "api/schema"} <= set(CLOSED)
    assert {"api/v1/comments/process", "api/v1/people/1/1/data"} <= set(CLOSED)


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_webhook_that_is_set_up_is_closed_by_its_signature(client, settings, method):
    settings.FAKE_PLATFORM_APP_SECRET = settings.FAKE_PLATFORM_VERIFY_TOKEN = "secret"
    assert "webhooks/fake_platform" in CLOSED  # also before it is set up
    assert getattr(client, method)("/webhooks/fake_platform").status_code == 403


def test_a_user_without_permissions_may_do_nothing(api_of):
    nobody = api_of()
    for path in (
        *("comments", "intents", "reviews", "campaigns", "messages"),
        *("accounts", "opt-outs", "refusals", "models"),
    ):
        assert nobody.get(f"/{path}").status_code == 403
    assert nobody.post("/comments/process", {}, format="json").status_code == 403


def test_operators_hold_exactly_their_rights(operator):
    assert operator.get_all_permissions() == set(OPERATOR_RIGHTS)


def test_a_token_lets_its_user_in_until_it_expires(client):
    user = UserFactory(username="shop", is_superuser=True)
    out = StringIO()
    call_command("issue_api_token", "shop", "--days", "1", stdout=out)
    header = {"Authorization": f"Token {out.getvalue().strip()}"}
    assert client.get("/comments", headers=header).status_code == 200
    AuthToken.objects.filter(user=user).update(expiry="2020-01-01T00:00:00Z")
    assert client.get("/comments", headers=header).status_code == 401


def test_of_a_token_only_the_hash_is_stored():
    UserFactory(username="shop")
    out = StringIO()
    call_command("issue_api_token", "shop", stdout=out)
    token = AuthToken.objects.get()
    assert out.getvalue().strip() not in (token.digest, token.token_key)
    assert token.expiry - token.created > timedelta(days=89)


@pytest.mark.parametrize("arguments", [["nobody"], ["shop", "--days", "0"]])
def test_a_token_for_nobody_or_for_no_time_is_refused(arguments):
    UserFactory(username="shop")
    with pytest.raises(CommandError):
        call_command("issue_api_token", *arguments)


@pytest.mark.parametrize("cursor", ["cD1hYmM=", "cD0lMDA=", "%FF", "cD0xJnA9Mg=="])
def test_a_cursor_that_is_none_of_ours_is_a_404(api_of, cursor):
    answer = api_of("comments.view_comment").get(f"/comments?cursor={cursor}")
    assert answer.status_code in {200, 404}


@pytest.mark.parametrize("page", ["comments?cursor=a%00", "admin/intents/review/?status=%00"])
def test_a_nul_in_the_query_is_a_400(admin_client, page):
    assert admin_client.get(f"/{page}").status_code == 400


def test_the_admin_is_found_without_its_slash(client):
    assert client.get("/admin").url == "/admin/"
