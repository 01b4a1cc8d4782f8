"""Guessing passwords is slow, and sessions end."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_redis import get_redis_connection
from prometheus_client import REGISTRY

from tests.factories import UserFactory
from tests.threadsagent.test_throttling import let_pass
from threadsagent import throttling
from threadsagent.login import ATTEMPTS_FROM_ADDRESS
from threadsagent.middleware import BEGAN
from threadsagent.models import User
from threadsagent.roles import VIEWERS

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
RIGHT = "correct horse battery"


@pytest.fixture(autouse=True)
def quick_hashes(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def viewer(quick_hashes) -> User:
    user = UserFactory(username="vera", is_staff=True)
    user.groups.add(Group.objects.get(name=VIEWERS))
    user.set_password(RIGHT)
    user.save()
    return user


def sign_in(client, username: str, password: str) -> str:
    """What the page says; empty when it let us in."""
    answer = client.post(LOGIN, {"username": username, "password": password})
    return "" if answer.status_code == 302 else answer.content.decode()


def guess(client, username: str, times: int = 10) -> None:
    for n in range(times):
        assert "Please enter the correct username" in sign_in(client, username, f"guess {n}")


# Attempts ---------------------------------------------------------------------------------------


def test_after_ten_guesses_not_even_the_right_password_is_taken(client, viewer):
    guess(client, "vera")
    assert "Too many attempts to sign in" in sign_in(client, "vera", RIGHT)


def test_other_users_are_not_affected(client, viewer):
    guess(client, "olga")
    assert "Too many attempts" in sign_in(client, "olga", "guess")
    assert sign_in(client, "vera", RIGHT) == ""


def test_who_guesses_from_many_addresses_has_no_more_attempts(client, viewer):
    for n in range(10):
        form = {"username": "vera", "password": "guess"}
        client.post(
            LOGIN, form, REMOTE_ADDR=f"10.0.0.{n}", headers={"X-Forwarded-For": f"10.1.{n}.1"}
        )
    assert "Too many attempts" in sign_in(client, "vera", "guess")


def test_a_name_that_nobody_has_is_limited_like_any_other(client):
    guess(client, "nobody")
    assert "Too many attempts" in sign_in(client, "nobody", "guess")


def guess_from(client, address: str, name: str) -> str:
    form = {"username": name, "password": "Password1"}
    return str(client.post(LOGIN, form, REMOTE_ADDR=address).content.decode())


def test_who_tries_one_password_with_many_names_has_a_hundred_attempts(client, viewer):
    for n in range(100):
        assert "Please enter the correct" in guess_from(client, "203.0.113.9", f"user{n}")
    assert "from where you are" in guess_from(client, "203.0.113.9", "user100")
    assert "Please enter the correct" in guess_from(client, "203.0.113.10", "user100")


def test_who_is_over_the_limit_of_an_address_costs_no_name_an_attempt(client, viewer, settings):
    for _ in range(100):
        throttling.take("login_address", "127.0.0.1", ATTEMPTS_FROM_ADDRESS)
    for _ in range(20):
        assert "from where you are" in sign_in(client, "vera", "guess")
    guess_from(client, "203.0.113.10", "vera")
    assert sign_in(Client(REMOTE_ADDR="203.0.113.10"), "vera", RIGHT) == ""


def test_where_proxies_do_not_tell_the_address_only_names_are_limited(client, viewer, settings):
    settings.TRUSTED_PROXIES = 1
    for n in range(101):
        answer = guess_from(client, "10.0.0.1", f"user{n}")
    assert "Please enter the correct" in answer
    guess(client, "vera")
    assert "with this user name" in sign_in(client, "vera", RIGHT)


def test_attempts_come_back_one_by_one(client, viewer):
    guess(client, "vera")
    let_pass(59)
    assert "Try again in 1 s;" in sign_in(client, "vera", RIGHT)
    let_pass(1)
    guess(client, "vera", 1)
    assert "Try again in 60 s;" in sign_in(client, "vera", RIGHT)


def test_refused_attempts_are_counted(client):
    def refused() -> float:
        return REGISTRY.get_sample_value("rate_limited_total", {"limit": "login"}) or 0

    before = refused()
    guess(client, "vera")
    sign_in(client, "vera", "guess")
    assert refused() == before + 1


def test_without_redis_people_sign_in_all_the_same(client, viewer, no_redis):
    assert sign_in(client, "vera", RIGHT) == ""


# Sessions ---------------------------------------------------------------------------------------


@pytest.fixture
def console(client, viewer):
    sign_in(client, "vera", RIGHT)
    return client


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


def is_signed_in(client, clock, after: timedelta) -> bool:
    """Whether the console still answers so long after."""
    clock.shift(after)
    get_redis_connection("default").flushdb()  # its clock stands still: by now it would have
    return bool(client.get("/admin/").status_code == 200)


def test_a_session_that_is_used_goes_on(clock, console):
    for _ in range(3):
        assert is_signed_in(console, clock, timedelta(minutes=59))


def test_a_session_that_is_idle_ends(clock, console):
    assert is_signed_in(console, clock, timedelta(minutes=5))
    assert not is_signed_in(console, clock, timedelta(minutes=61))


def test_a_session_that_was_never_used_ends_as_soon(clock, console):
    assert not is_signed_in(console, clock, timedelta(minutes=61))


def test_no_session_lasts_longer_than_its_hours(clock, console, settings):
    settings.SESSION_HOURS = 2
    assert is_signed_in(console, clock, timedelta(minutes=59))
    assert is_signed_in(console, clock, timedelta(minutes=59))
    assert not is_signed_in(console, clock, timedelta(minutes=3))


def test_a_session_from_before_there_were_limits_ends_too(clock, console, settings):
    settings.SESSION_HOURS = 1
    old = console.session
    del old[BEGAN]
    old.set_expiry(timedelta(days=14))
    old.save()
    assert is_signed_in(console, clock, timedelta(minutes=90))
    assert not is_signed_in(console, clock, timedelta(minutes=61))


def test_redis_forgets_a_session_as_soon_as_the_database(console):
    console.get("/admin/")
    redis = get_redis_connection("default")
    [key] = redis.keys("*cached_db*")
    assert 0 < redis.ttl(key) <= 3600


def test_a_session_is_not_written_at_every_request(console):
    console.get("/admin/")
    with CaptureQueriesContext(connection) as queries:
        console.get("/admin/")
    assert not any("django_session" in query["sql"] for query in queries)


def test_cookies_are_for_our_pages_only(console):
    console.get("/admin/password_change/")
    for name in ("sessionid", "csrftoken"):
        assert console.cookies[name]["httponly"]
        assert console.cookies[name]["samesite"] == "Lax"


def test_who_has_no_session_gets_no_cookie(client):
    assert not client.get("/health/live").cookies
