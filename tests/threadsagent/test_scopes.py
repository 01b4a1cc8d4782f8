"""What a token with one scope may call: every call of the API, for every scope.

The calls are found in the URL configuration. What is not in the table below makes a test fail, and
so does what is there no more. The user may do everything, so that only the scope can refuse.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Model
from django.test import Client

from tests.factories import UserFactory
from tests.threadsagent.test_roles import CALLS, CASES, EXAMPLES, VERSION, Call, make_rows
from threadsagent import tokens
from threadsagent.scopes import PERMISSIONS, Scope

# The letters of the table, in this order; a dot: may not.
LETTERS = {
    "R": Scope.READ,
    "I": Scope.INGEST,
    "W": Scope.MONITORS,
    "V": Scope.REVIEWS,
    "C": Scope.CAMPAIGNS,
    "M": Scope.MESSAGES,
    "A": Scope.ACCOUNTS,
    "O": Scope.OPT_OUTS,
    "T": Scope.MODELS,
    "P": Scope.PEOPLE,
}

TABLE = """
R.........  /comments                            GET
R.........  /comments/{pk}                       GET
.I........  /comments/process                    POST
R.W.......  /comments/monitor                    GET
..W.......  /comments/monitor                    POST
R.W.......  /comments/monitor/{task_id}          GET
..W.......  /comments/monitor/{task_id}          DELETE
R.........  /intents                             GET
R.........  /intents/{pk}                        GET
R..V......  /reviews                             GET
R..V......  /reviews/{pk}                        GET
...V......  /reviews/{pk}/approve                POST
...V......  /reviews/{pk}/reject                 POST
R.......T.  /models                              GET
R.......T.  /models/{pk}                         GET
........T.  /models/{pk}/promote                 POST
........T.  /models/{pk}/shadow                  POST
........T.  /models/{pk}/share                   POST
........T.  /models/{pk}/retire                  POST
R...C.....  /campaigns                           GET
....C.....  /campaigns                           POST
R...C.....  /campaigns/{pk}                      GET
....C.....  /campaigns/{pk}                      PATCH
R....M....  /messages                            GET
R....M....  /messages/{pk}                       GET
.....M....  /messages/{pk}/cancel                POST
.....M....  /messages/{pk}/settle                POST
...V......  /messages/{pk}/undo                  POST
R.....A...  /accounts                            GET
R.....A...  /accounts/{pk}                       GET
......A...  /accounts/{pk}/resume                POST
R......O..  /opt-outs                            GET
.......O..  /opt-outs                            POST
R......O..  /opt-outs/{pk}                       GET
.......O..  /opt-outs/{pk}                       DELETE
R.........  /refusals                            GET
R.........  /refusals/{pk}                       GET
R.........  /conversions                         GET
..........  /conversions                         POST
R.........  /conversions/{pk}                    GET
R....M....  /funnel                              GET
.........P  /people/{source}/{name}/data         GET DELETE
"""

API = {
    (path, way): call
    for (path, way), call in CASES.items()
    if path.removeprefix(VERSION).startswith(CALLS)
}


def expected() -> dict[tuple[str, str], str]:
    lines = (line.split() for line in TABLE.split("\n") if line)
    rows = [(path, way, mask) for mask, path, *ways in lines for way in ways]
    return {(prefix + path, way): mask for path, way, mask in rows for prefix in ("", VERSION)}


@dataclass(frozen=True)
class Site:
    """Rows of everything, and the key of a token with each scope."""

    rows: dict[type[Model], Any]
    keys: dict[str, str]

    def path(self, call: Call) -> str:
        row = self.rows[call.model] if call.model else None
        task_id = getattr(row, "task_id", "")
        return call.path.format(**EXAMPLES, pk=row and row.pk, task_id=task_id)


@pytest.fixture(scope="module")
def made(django_db_setup, django_db_blocker) -> Iterator[Site]:
    """In one transaction that all tests of this module are in and nobody commits."""
    with django_db_blocker.unblock(), transaction.atomic():
        root = UserFactory(username="root", is_superuser=True)
        keys = {
            letter: tokens.issue(root, [scope], timedelta(days=1))[1]
            for letter, scope in LETTERS.items()
        }
        yield Site(make_rows(), keys)
        transaction.set_rollback(True)


@pytest.fixture
def site(made, db, caplog) -> Site:
    """With each test's doings undone, and without a line in the log for each refusal."""
    caplog.set_level(logging.ERROR, "django.request")
    return made


def test_the_table_has_every_call_and_nothing_else():
    assert set(API) == set(expected())


def test_the_table_has_every_scope():
    assert set(LETTERS.values()) == set(Scope) == set(PERMISSIONS)


@pytest.mark.parametrize("case", API, ids=" ".join)
def test_what_a_scope_lets_a_token_call(site, case):
    call = API[case]
    passed = ""
    for letter, key in site.keys.items():
        with transaction.atomic():
            answer = Client().generic(
                *(call.method, site.path(call), "{}", "application/json"),
                headers={"Authorization": f"Token {key}"},
            )
            transaction.set_rollback(True)
        assert answer.status_code < 500
        passed += "." if answer.status_code in (401, 403) else letter
    assert passed == expected().get(case)
