"""Fixtures that more than one part of the tests needs."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from django.contrib.auth.models import Group, Permission
from django_redis import get_redis_connection
from rest_framework.test import APIClient

from comments import redis, wakeup
from intents import cache
from tests.factories import UserFactory
from threadsagent.fake_platform.server import FakePlatform, running
from threadsagent.fake_platform.store import Store
from threadsagent.models import User
from threadsagent.roles import OPERATORS


@pytest.fixture(autouse=True)
def empty_redis() -> None:
    """No test sees what another left there: known ids, used-up rate limits, sessions, answers.

    Nor does it find Redis or the broker given up because another test had taken it away.
    """
    redis.breaker.reset()
    wakeup.breaker.reset()
    cache.forget()
    get_redis_connection("default").flushdb()


@pytest.fixture
def no_redis(settings):
    """A Redis that refuses connections."""
    cache = settings.CACHES["default"] | {"LOCATION": "redis://127.0.0.1:9/0"}
    settings.CACHES = {"default": cache}


@pytest.fixture
def fake_platform(settings) -> Iterator[FakePlatform]:
    """The fake platform over real HTTP, empty, and the settings that lead to it."""
    with closing(Store(":memory:")) as store, running(store) as platform:
        settings.FAKE_PLATFORM_URL = platform.url
        yield platform


@pytest.fixture
def operator(db) -> User:
    """A member of the Operators group who may enter the admin."""
    user = UserFactory(username="olga", is_staff=True)
    user.groups.add(Group.objects.get(name=OPERATORS))
    return user


@pytest.fixture
def api_of(db) -> Callable[..., APIClient]:
    """`api_of("comments.add_comment", …)`: an API client of a user with just these permissions."""

    def make(*permissions: str) -> APIClient:
        user = UserFactory()
        for permission in permissions:
            app, codename = permission.split(".")
            user.user_permissions.add(
                Permission.objects.get(content_type__app_label=app, codename=codename)
            )
        client = APIClient()
        client.force_authenticate(user)
        return client

    return make
