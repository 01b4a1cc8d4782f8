"""Who may do what: every endpoint, every page and action of the admin, for every role.

They are found in the URL configuration and in the admin's registry. What is not in the table below
makes a test fail, and so does what is there no more.
"""

import functools
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from django.views.generic import RedirectView
from django_celery_results.models import GroupResult, TaskResult
from knox.models import AuthToken

from comments.models import Comment, Monitor
from dmtrigger import audit
from dmtrigger.links import Purpose, token_of
from dmtrigger.models import (
    Account,
    AuditEntry,
    Campaign,
    Click,
    Conversion,
    DirectMessage,
    Person,
    Refusal,
    WebhookDelivery,
    WebhookEndpoint,
)
from dmtrigger.privacy import erase_person
from intents.models import AnalysisFailure, IntentResult, ModelVersion, Review
from tests.factories import (
    AnalysisFailureFactory,
    CampaignFactory,
    CommentFactory,
    DirectMessageFactory,
    IntentResultFactory,
    MonitorFactory,
    ReviewFactory,
    UserFactory,
)
from threadsagent.models import User
from threadsagent.roles import (
    ADMINISTRATORS,
    CAMPAIGN_MANAGERS,
    MODEL_ADMINISTRATORS,
    OPERATORS,
    ROLES,
    VIEWERS,
)

# The letters of the table, in this order; a dot: may not.
WHO = {
    "S": "a stranger",
    "N": "a member of staff in no group",
    "V": VIEWERS,
    "O": OPERATORS,
    "C": CAMPAIGN_MANAGERS,
    "M": MODEL_ADMINISTRATORS,
    "A": ADMINISTRATORS,
}

# A subject is a path, with the methods; or a model in the admin, with its pages and actions.
TABLE = """
# --- the API
..VOC.A  /comments                                            GET
..VOC.A  /comments/{pk}                                       GET
......A  /comments/process                                    POST
..VO..A  /comments/monitor                                    GET
......A  /comments/monitor                                    POST
..VO..A  /comments/monitor/{task_id}                          GET
......A  /comments/monitor/{task_id}                          DELETE
..VOCMA  /intents                                             GET
..VOCMA  /intents/{pk}                                        GET
..VOC.A  /reviews                                             GET
..VOC.A  /reviews/{pk}                                        GET
...O..A  /reviews/{pk}/approve                                POST
...O..A  /reviews/{pk}/reject                                 POST
.....MA  /models                                              GET
.....MA  /models/{pk}                                         GET
.....MA  /models/{pk}/promote                                 POST
.....MA  /models/{pk}/shadow                                  POST
.....MA  /models/{pk}/share                                   POST
.....MA  /models/{pk}/retire                                  POST
..VOC.A  /campaigns                                           GET
....C.A  /campaigns                                           POST
..VOC.A  /campaigns/{pk}                                      GET
....C.A  /campaigns/{pk}                                      PATCH
..VOC.A  /messages                                            GET
..VOC.A  /messages/{pk}                                       GET
...O..A  /messages/{pk}/cancel                                POST
...O..A  /messages/{pk}/settle                                POST
...O..A  /messages/{pk}/undo                                  POST
..VOC.A  /accounts                                            GET
..VOC.A  /accounts/{pk}                                       GET
....C.A  /accounts/{pk}/resume                                POST
..VO..A  /opt-outs                                            GET
...O..A  /opt-outs                                            POST
..VO..A  /opt-outs/{pk}                                       GET
...O..A  /opt-outs/{pk}                                       DELETE
..VOC.A  /refusals                                            GET
..VOC.A  /refusals/{pk}                                       GET
..VOC.A  /conversions                                         GET
..VOC.A  /conversions/{pk}                                    GET
..VOC.A  /funnel                                              GET
......A  /people/{source}/{name}/data                         GET DELETE
.NVOCMA  /api/schema                                          GET
.......  /api/schema                                          POST
.NVOCMA  /api/docs/                                           GET
.......  /api/docs/                                           POST
# --- who calls with a signature, a token or a link
.......  /conversions                                         POST
.......  /webhooks/fake_platform                              GET POST
.......  /webhooks/data-deletion                              GET POST
SNVOCMA  /webhooks/data-deletion/{code}                       GET
.......  /webhooks/data-deletion/{code}                       POST
SNVOCMA  /o/{token}                                           GET POST
# --- who watches the system
SNVOCMA  /health                                              GET
.......  /health                                              POST
SNVOCMA  /health/live                                         GET
.......  /health/live                                         POST
.NVOCMA  /metrics                                             GET
.......  /metrics                                             POST
# --- the console (a stranger who logs out is led to its first page, and so to the login)
SNVOCMA  /admin/login/                                        GET POST
S......  /admin/logout/                                       GET
SNVOCMA  /admin/logout/                                       POST
.NVOCMA  /admin/                                              GET POST
..VOC.A  /admin/{app_label}/                                  GET POST
.NVOCMA  /admin/two-factor/                                   GET POST
.NVOCMA  /admin/password_change/                              GET POST
.NVOCMA  /admin/password_change/done/                         GET
.......  /admin/password_change/done/                         POST
.NVOCMA  /admin/jsi18n/                                       GET
.......  /admin/jsi18n/                                       POST
.......  /admin/autocomplete/                                 GET POST
.......  /admin/r/{content_type_id}/{object_id}/              GET POST
.......  /admin/{url}                                         GET POST
# --- comments and what is made of them
..VOC.A  comments.comment                                     list view history export_as_csv
.......  comments.comment                                     add change delete delete_selected
..VO..A  comments.monitor                                     list view history
......A  comments.monitor                                     add change
......A  comments.monitor                                     start_selected stop_selected
.......  comments.monitor                                     delete delete_selected
..VOCMA  intents.intentresult                                 list view history
.......  intents.intentresult                                 add change delete delete_selected
..VO..A  intents.analysisfailure                              list view history
...O..A  intents.analysisfailure                              analyse_again
.......  intents.analysisfailure                              add change delete delete_selected
# --- reviews
..VOC.A  intents.review                                       list view history
...O..A  intents.review                                       approve_selected reject_selected
...O..A  intents.review                                       undo_selected snooze_hour
...O..A  intents.review                                       snooze_tomorrow snooze_days
...O..A  intents.review                                       block_authors take_over_authors
.......  intents.review                                       add change delete delete_selected
.......  /admin/intents/review/{pk}/decide/                   GET
...O..A  /admin/intents/review/{pk}/decide/                   POST
.......  /admin/intents/review/{pk}/undo/                     GET
...O..A  /admin/intents/review/{pk}/undo/                     POST
.......  /admin/intents/review/{pk}/block/                    GET
...O..A  /admin/intents/review/{pk}/block/                    POST
.......  /admin/intents/review/{pk}/take-over/                GET
...O..A  /admin/intents/review/{pk}/take-over/                POST
..VOC.A  /admin/intents/review/news/                          GET
.......  /admin/intents/review/news/                          POST
.......  /admin/intents/review/{pk}/snooze/                   GET
...O..A  /admin/intents/review/{pk}/snooze/                   POST
.......  /admin/intents/review/{pk}/claim/                    GET
...O..A  /admin/intents/review/{pk}/claim/                    POST
.......  /admin/intents/review/{pk}/claim-anyway/             GET
...O..A  /admin/intents/review/{pk}/claim-anyway/             POST
.......  /admin/intents/review/{pk}/release/                  GET
...O..A  /admin/intents/review/{pk}/release/                  POST
# --- campaigns and accounts
..VOC.A  dmtrigger.campaign                                   list view history
....C.A  dmtrigger.campaign                                   add change delete activate deactivate
.......  dmtrigger.campaign                                   delete_selected
.......  /admin/dmtrigger/campaign/preview/                   GET
..VOC.A  /admin/dmtrigger/campaign/preview/                   POST
..VOC.A  /admin/dmtrigger/campaign/{pk}/dry-run/              GET
.......  /admin/dmtrigger/campaign/{pk}/dry-run/              POST
..VOC.A  dmtrigger.account                                    list view history
....C.A  dmtrigger.account                                    add change resume
.......  dmtrigger.account                                    delete delete_selected
# --- messages and what came of them
..VOC.A  dmtrigger.directmessage                              list view history export_as_csv
...O..A  dmtrigger.directmessage                              cancel was_delivered was_not_delivered
.......  dmtrigger.directmessage                              add change delete delete_selected
..VOC.A  dmtrigger.refusal                                    list view history export_as_csv
.......  dmtrigger.refusal                                    add change delete delete_selected
..VOC.A  dmtrigger.click                                      list view history
.......  dmtrigger.click                                      add change delete delete_selected
..VOC.A  dmtrigger.conversion                                 list view history export_as_csv
.......  dmtrigger.conversion                                 add change delete delete_selected
..VOC.A  /admin/dmtrigger/conversion/funnel/                  GET POST
# --- people
..VO..A  dmtrigger.person                                     list view history
...O..A  dmtrigger.person                                     add opt_in unblock hand_back
......A  dmtrigger.person                                     export_selected erase_selected
.......  dmtrigger.person                                     change delete delete_selected
# --- models
.....MA  intents.modelversion                                 list view history
.....MA  intents.modelversion                                 promote_selected shadow_selected
.....MA  intents.modelversion                                 share_selected retire_selected
.......  intents.modelversion                                 add change delete delete_selected
.......  /admin/intents/modelversion/roll-back/               GET
.....MA  /admin/intents/modelversion/roll-back/               POST
.....MA  /admin/intents/modelversion/compare/                 GET
.......  /admin/intents/modelversion/compare/                 POST
.....MA  /admin/intents/modelversion/compare/{picture}.svg    GET
.......  /admin/intents/modelversion/compare/{picture}.svg    POST
# --- what only administrators see, and some things only superusers
......A  dmtrigger.webhookendpoint                            list view history
......A  dmtrigger.webhookendpoint                            add change delete delete_selected
......A  dmtrigger.webhookendpoint                            rotate_secret send_test
......A  dmtrigger.webhookdelivery                            list view history deliver_again
.......  dmtrigger.webhookdelivery                            add change delete delete_selected
......A  dmtrigger.auditentry                                 list view history
.......  dmtrigger.auditentry                                 add change delete delete_selected
......A  threadsagent.user                                    list view history add change
......A  threadsagent.user                                    reset_two_factor
.......  threadsagent.user                                    delete delete_selected
......A  /admin/threadsagent/user/{id}/password/              GET POST
......A  auth.group                                           list view history
.......  auth.group                                           add change delete delete_selected
......A  knox.authtoken                                       list view history
......A  knox.authtoken                                       add delete delete_selected
.......  knox.authtoken                                       change
......A  django_celery_results.taskresult                     list view history
.......  django_celery_results.taskresult                     add change delete delete_selected
.......  django_celery_results.groupresult                    list view history
.......  django_celery_results.groupresult                    add change delete delete_selected
"""

VERSION = "/api/v1"
CALLS = (
    *("/comments", "/intents", "/reviews", "/campaigns", "/messages", "/accounts", "/opt-outs"),
    *("/refusals", "/conversions", "/funnel", "/people", "/models"),
)
VIEWS = {"changelist": ["list"], "add": ["add"], "change": ["view", "change"]}
VIEWS |= {"delete": ["delete"], "history": ["history"]}
REFUSALS = {401, 403, 404, 405}
EXAMPLES = {"app_label": "comments", "picture": "scores", "source": "fake_platform", "name": "ada"}
"""What stands in a path where it is no row's key; `made` adds what has to be made."""

Case = tuple[str, str]
"""A subject of the table, and what is done to it."""


@dataclass(frozen=True)
class Call:
    """How a case is tried: a request, and for an action of the admin its name as well."""

    method: str
    path: str
    model: type[Model] | None = None
    data: dict[str, str] = field(default_factory=dict)
    action: str = ""


# What there is ----------------------------------------------------------------------------------


def routes(resolver: URLResolver, prefix: str = "/") -> Iterator[tuple[str, URLPattern]]:
    """Every path, with {names} for its parameters; but not those that only lead to another."""
    for entry in resolver.url_patterns:
        route = prefix + _readable(str(entry.pattern))
        if isinstance(entry, URLResolver):
            yield from routes(entry, route)
        elif getattr(entry.callback, "view_class", None) is not RedirectView:
            yield route, entry


def _readable(pattern: str) -> str:
    named = re.sub(r"\(\?P<(\w+)>[^)]*\)|<(?:\w+:)?(\w+)>", r"{\1\2}", pattern)
    return re.sub(r"[\^$\\]", "", named)


def _models() -> dict[str, type[Model]]:
    return {
        f"/admin/{model._meta.app_label}/{model._meta.model_name}/": model
        for model in admin.site._registry
    }


def find() -> dict[Case, Call]:
    """Every case."""
    cases: dict[Case, Call] = {}
    for route, entry in routes(get_resolver()):
        model = next((found for at, found in _models().items() if route.startswith(at)), None)
        if model is None:
            cases |= _of_path(route, entry)
            continue
        label = model._meta.label_lower
        kind = str(entry.name).removeprefix(label.replace(".", "_") + "_")
        if kind not in VIEWS:
            cases |= {(route, way): Call(way, route, model) for way in ("GET", "POST")}
            continue
        for view in VIEWS[kind]:
            way = "POST" if view in ("add", "change", "delete") else "GET"
            data = {"post": "yes"} if view == "delete" else {}  # so that it asks no more
            cases[label, view] = Call(way, route, model, data)
    for at, model in _models().items():
        model_admin: Any = admin.site._registry[model]
        for _do, action, _said in model_admin._get_base_actions():
            cases[model._meta.label_lower, action] = Call("POST", at, model, action=action)
    return cases


def _of_path(route: str, entry: URLPattern) -> dict[Case, Call]:
    view: Any = entry.callback
    ways = [way.upper() for way in getattr(view, "actions", None) or ("get", "post")]
    queryset = getattr(getattr(view, "cls", None), "queryset", None)
    model = None if queryset is None else queryset.model
    return {(route, way): Call(way, route, model) for way in ways}


def _expected() -> dict[Case, str]:
    lines = (line.split() for line in TABLE.splitlines() if line and line[0] != "#")
    return {(subject, verb): mask for mask, subject, *verbs in lines for verb in verbs}


CASES, EXPECTED = find(), _expected()
# Each call of the API is also at a path with a version, and nothing else is there.
EXPECTED |= {
    (f"{VERSION}{subject}", verb): mask
    for (subject, verb), mask in EXPECTED.items()
    if subject.startswith(CALLS)
}


# Rows and users ---------------------------------------------------------------------------------


def make_rows() -> dict[type[Model], Any]:
    """A row of everything that can be asked for."""
    user = UserFactory(username="somebody")
    message = DirectMessageFactory(review__intent__comment__author="bob")
    endpoint = WebhookEndpoint.objects.create(name="crm", url="https://crm.example/")
    idle = WebhookEndpoint.objects.create(name="idle", url="https://idle.example/")
    token, _key = AuthToken.objects.create(user)
    now = timezone.now()
    return {
        Comment: CommentFactory(),
        Monitor: MonitorFactory(),
        IntentResult: IntentResultFactory(),
        AnalysisFailure: AnalysisFailureFactory(),
        ModelVersion: ModelVersion.objects.earliest("pk"),
        Review: ReviewFactory(),
        Campaign: CampaignFactory(),  # without messages: it may be deleted
        Account: Account.objects.earliest("pk"),
        DirectMessage: message,
        Refusal: Refusal.objects.create(
            comment_id=1, campaign=message.campaign, rule="age", reason="old"
        ),
        Person: Person.objects.create(source="fake_platform", name="ada", opted_out_at=now),
        Click: Click.objects.create(
            message=message, token="6f1d8f6e-7f7b-4d1c-9a55-6e1c5c1b7c10", at=now, is_bot=False
        ),
        Conversion: Conversion.objects.create(
            message=message, order_id="1", value=1, currency="EUR", at=now
        ),
        AuditEntry: audit.record("olga", "look", "message 1"),
        WebhookEndpoint: idle,
        WebhookDelivery: WebhookDelivery.objects.create(
            endpoint=endpoint, event_id="evt_test", payload={"type": "test"}
        ),
        User: user,
        Group: Group.objects.earliest("pk"),
        AuthToken: token,
        TaskResult: TaskResult.objects.create(task_id="1"),
        GroupResult: GroupResult.objects.create(
            group_id="1", content_type="application/json", content_encoding="utf-8"
        ),
    }


@dataclass(frozen=True)
class Site:
    """Rows of everything, and a session of each role."""

    rows: dict[type[Model], Any]
    sessions: dict[str, str]
    examples: dict[str, str]
    browser: Client = field(default_factory=Client)  # one for all: to make one takes its time

    def client(self, letter: str) -> Client:
        self.browser.cookies.clear()
        if letter in self.sessions:
            self.browser.cookies["sessionid"] = self.sessions[letter]
        return self.browser

    def path(self, call: Call) -> str:
        row = self.rows[call.model] if call.model else None
        values = {
            name: self.examples.get(name) or getattr(row, name, row and row.pk)
            for name in re.findall(r"{(\w+)}", call.path)
        }
        return call.path.format(**values)


@pytest.fixture(scope="module")
def made(django_db_setup, django_db_blocker) -> Iterator[Site]:
    """In one transaction that all tests of this module are in and nobody commits."""
    with django_db_blocker.unblock(), transaction.atomic():
        sessions = {}
        for letter, name in list(WHO.items())[1:]:
            user = UserFactory(username=name, is_staff=True)
            user.groups.set(Group.objects.filter(name=name))
            client = Client()
            client.force_login(user)
            sessions[letter] = client.cookies["sessionid"].value
        rows = make_rows()
        made = {
            "token": token_of(rows[DirectMessage].comment_id, Purpose.OPT_OUT),
            "code": erase_person("fake_platform", "nobody", "olga").code,
        }
        yield Site(rows, sessions, EXAMPLES | made)
        transaction.set_rollback(True)


@pytest.fixture
def site(made, db, caplog) -> Site:
    """With each test's doings undone, and without a line in the log for each of a thousand 403s."""
    caplog.set_level(logging.ERROR, "django.request")
    return made


# The tests --------------------------------------------------------------------------------------


def test_the_table_has_everything_that_there_is_and_nothing_else():
    assert set(CASES) == set(EXPECTED)


def test_the_table_has_every_role():
    assert set(ROLES) == set(list(WHO.values())[2:])


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_who_may(site, monkeypatch, case):
    tried = try_action if CASES[case].action else try_page
    may = functools.partial(tried, site, monkeypatch, CASES[case])
    assert "".join(letter if may(letter) else "." for letter in WHO) == EXPECTED.get(case)


def try_page(site: Site, monkeypatch: pytest.MonkeyPatch, call: Call, letter: str) -> bool:
    """Whether the page answers; what it did is undone."""
    client = site.client(letter)
    with transaction.atomic():
        if call.path.startswith("/admin/"):
            answer = getattr(client, call.method.lower())(site.path(call), call.data)
        else:
            answer = client.generic(call.method, site.path(call), "{}", "application/json")
        transaction.set_rollback(True)
    assert answer.status_code < 500
    return answer.status_code not in REFUSALS and not _asks_to_log_in(answer)


def try_action(site: Site, monkeypatch: pytest.MonkeyPatch, call: Call, letter: str) -> bool:
    """Whether the action is run: of one that is not, the list only shows itself again."""
    assert call.model
    model_admin = admin.site._registry[call.model]
    action = model_admin.get_action(call.action)
    assert action
    ran = []

    @functools.wraps(action[0])
    def note(*_: Any) -> None:
        ran.append(letter)

    with monkeypatch.context() as patch:
        if call.action in admin.site._actions:
            patch.setitem(admin.site._actions, call.action, note)
        else:
            patch.setattr(type(model_admin), call.action, note)
        ticked = {"action": call.action, "_selected_action": str(site.rows[call.model].pk)}
        site.client(letter).post(site.path(call), ticked)
    return bool(ran)


def _asks_to_log_in(answer: Any) -> bool:
    return bool(answer.headers.get("Location", "").startswith("/admin/login/"))
