"""Who sees only some accounts sees, finds and changes nothing of any other.

Two brands have a row of everything. All that is told of the second one has a word in it, and this
word may be in no answer to a user with all rights who sees the first one's account only: whatever
the URL configuration and the admin's registry have is asked for, so what is new is tried as well.
"""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.cache import cache
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.urls import resolve
from django.utils import timezone
from django_celery_results.models import GroupResult, TaskResult
from knox.models import AuthToken

from comments.models import Comment, IdempotentCall, Monitor
from dmtrigger import audit
from dmtrigger.models import (
    Account,
    AuditEntry,
    Campaign,
    Click,
    Conversion,
    DeliveryAttempt,
    DirectMessage,
    MessageEvent,
    Person,
    Refusal,
    Variant,
    WebhookDelivery,
    WebhookEndpoint,
)
from dmtrigger.senders.contract import Channel
from intents.models import AnalysisFailure, IntentResult, ModelVersion, Review, ShadowPrediction
from tests.factories import (
    AccountFactory,
    AnalysisFailureFactory,
    CampaignFactory,
    CommentFactory,
    DirectMessageFactory,
    MonitorFactory,
    ReviewFactory,
    UserFactory,
)
from tests.threadsagent.test_roles import CASES, VERSION, Call
from threadsagent.models import User

OURS, THEIRS = "ourbrand", "theirbrand"
HIDDEN = {403, 404, 405}
OPEN = (
    *("/o/", "/health", "/webhooks/", "/admin/login/", "/admin/logout/", "/admin/jsi18n/"),
    *("/api/schema", "/api/docs/", "/admin/password_change/"),
)
"""What is for everybody, or has to be signed: it tells of no account."""
BODIES = {
    "/messages/{pk}/settle": {"delivered": True},
    "/models/{pk}/share": {"percent": 5},
    "/campaigns/{pk}": {"priority": 1},
}
EXAMPLES = {
    "source": "fake_platform",
    "app_label": "comments",
    "content_type_id": "1",
    "object_id": "1",
    "url": "none",
}
POSTED = {
    "decide": {"decision": "rejected"},
    "snooze": {"until": "hour"},
    "delete": {"post": "yes"},
}

Rows = dict[type[Model], Any]


# Rows -------------------------------------------------------------------------------------------


def comment_of(brand: str, name: str, **values: Any) -> Comment:
    said = {"author": f"{brand}-{name}", "text": f"{brand} {name}: where can I buy this?"}
    return CommentFactory(
        account=brand, post_id=f"{brand}-post", external_id=f"{brand}-{name}", **(said | values)
    )


def review_of(brand: str, comment: Comment, **values: Any) -> Review:
    nearest = [[f"{THEIRS} bought one", "purchase_intent", 0.9]]  # which the model learnt from
    said = {"intent__evidence": {"words": [[f"{brand}-word", 1.0]], "nearest": nearest}}
    return ReviewFactory(intent__comment=comment, note=f"{brand} note", **said, **values)


def message_of(brand: str, campaign: Campaign, comment: Comment, **values: Any) -> DirectMessage:
    now = timezone.now()
    decided = {"status": "approved", "decided_at": now, "decided_by_rule": f"{brand} rule"}
    said = {
        "text": f"{brand} message",
        "link": f"https://{brand}.example/",
        "reason": f"{brand} reason",
        "last_error": f"{brand} error",
    }
    return DirectMessageFactory(
        review=review_of(brand, comment, **decided),
        account=campaign.account,
        campaign=campaign,
        **(said | values),
    )


def make_brand(brand: str) -> Rows:
    """A row of everything, each text with the brand's name in it."""
    now = timezone.now()
    account = AccountFactory(
        name=brand, usernames=f"{brand}_shop", paused_until=now + timedelta(hours=1)
    )
    account.pause_reason = f"{brand} is restricted"
    account.save()
    endpoint = WebhookEndpoint.objects.create(name=f"{brand} crm", url=f"https://{brand}.example/")
    templates = {"variant__template": brand + " {{ author }}: {{ link }} (automated)"}
    about = {"account": account, "post_id": f"{brand}-post", "link": f"https://{brand}.example/"}
    campaign = CampaignFactory(name=f"{brand} campaign", **about, **templates)
    other = CampaignFactory(
        name=f"{brand} handed over",
        channel=Channel.WEBHOOK,
        endpoint=endpoint,
        **about,
        **templates,
    )
    sent = {"state": "sent", "sent_at": now, "next_attempt_at": None}
    message = message_of(brand, campaign, comment_of(brand, "buyer"), **sent)
    message_of(brand, campaign, comment_of(brand, "waiting"))
    message_of(brand, campaign, comment_of(brand, "unknown"), state="unknown")
    review = review_of(brand, comment_of(brand, "author"))
    comment = review.intent.comment
    failed = comment_of(brand, "failed", analyzed_at=now)
    version = ModelVersion.objects.create(name=f"{brand} model", card={"version": brand})
    user = UserFactory(username=f"{brand}-user", every_account=False)
    user.accounts.add(account)
    return {
        Account: account,
        Comment: comment,
        Monitor: MonitorFactory(post_id=f"{brand}-post", account=brand, last_error=f"{brand} off"),
        IntentResult: review.intent,
        Review: review,
        AnalysisFailure: AnalysisFailureFactory(comment_id=failed.pk, reason=f"{brand} poison"),
        ModelVersion: version,
        ShadowPrediction: ShadowPrediction.objects.create(
            comment_id=comment.pk, version=version, label="spam", score=1
        ),
        Campaign: other,  # without messages: it may be deleted
        Variant: other.variants.get(),
        DirectMessage: message,
        MessageEvent: MessageEvent.objects.create(
            message=message, state="sent", detail=f"{brand} detail", by=f"{brand}-user"
        ),
        DeliveryAttempt: DeliveryAttempt.objects.create(
            message=message, account=account, number=1, detail=f"{brand} detail", outcome="sent"
        ),
        Refusal: Refusal.objects.create(
            comment_id=comment.pk, campaign=campaign, rule="age", reason=f"{brand} refused"
        ),
        Person: Person.objects.create(
            source="fake_platform",
            name=comment.author,
            blocked_at=now,
            block_reason=f"{brand} why",
            opted_out_at=now,
        ),
        Click: Click.objects.create(
            message=message, token=uuid_of(brand), at=now, is_bot=False, user_agent=f"{brand} phone"
        ),
        Conversion: Conversion.objects.create(
            message=message, order_id=f"{brand}-1", value=1, currency="EUR", at=now
        ),
        AuditEntry: audit.record(f"{brand}-user", "look", f"message {message.pk}", name=brand),
        WebhookEndpoint: endpoint,
        WebhookDelivery: WebhookDelivery.objects.create(
            endpoint=endpoint, event_id=f"evt_{brand}", payload={"type": brand}
        ),
        User: user,
        Group: Group.objects.create(name=f"{brand} group"),
        AuthToken: AuthToken.objects.create(user)[0],
        TaskResult: TaskResult.objects.create(task_id=f"{brand}-task", task_name=brand),
        GroupResult: GroupResult.objects.create(
            group_id=brand, content_type="application/json", content_encoding="utf-8"
        ),
    }


def uuid_of(brand: str) -> str:
    return f"6f1d8f6e-7f7b-4d1c-9a55-{brand.encode().hex()[:12]}"


def make_acquaintance() -> None:
    """Who wrote to us has written to them too, and got a message."""
    theirs = {"author": f"{OURS}-author", "text": f"{THEIRS} is what I want"}
    campaign = Campaign.objects.get(name=f"{THEIRS} campaign")
    sent = {"state": "sent", "sent_at": timezone.now() - timedelta(days=30)}
    message_of(THEIRS, campaign, comment_of(THEIRS, "acquainted", **theirs), **sent)


@dataclass(frozen=True)
class Agency:
    """The rows of two brands, and the sessions of who sees all of it and who sees the first one."""

    ours: Rows
    theirs: Rows
    sessions: dict[str, str]
    browser: Client = field(default_factory=Client)

    def client(self, who: str) -> Client:
        self.browser.cookies.clear()
        self.browser.cookies["sessionid"] = self.sessions[who]
        return self.browser

    def path(self, call: Call, rows: Rows) -> str:
        """The call's path to a brand's row."""
        row = rows[call.model] if call.model else None
        values = {
            name: getattr(row, name, row.pk)
            if row
            else (EXAMPLES | {"name": rows[Person].name})[name]
            for name in re.findall(r"{(\w+)}", call.path)
        }
        values |= {"picture": "scores"}
        return call.path.format(**{name: quote(str(value)) for name, value in values.items()})


@pytest.fixture(scope="module")
def made(django_db_setup, django_db_blocker) -> Iterator[Agency]:
    """In one transaction that all tests of this module are in and nobody commits."""
    with django_db_blocker.unblock(), transaction.atomic():
        ours, theirs = make_brand(OURS), make_brand(THEIRS)
        make_acquaintance()
        sessions = {}
        for name, every_account in (("whole", True), ("scoped", False)):
            user = UserFactory(username=name, is_staff=True, every_account=every_account)
            user.user_permissions.set(Permission.objects.all())
            user.accounts.add(ours[Account])
            client = Client()
            client.force_login(user)
            sessions[name] = client.cookies["sessionid"].value
        yield Agency(ours, theirs, sessions)
        transaction.set_rollback(True)


@pytest.fixture
def agency(made, db, caplog) -> Agency:
    """With each test's doings undone, and without a line in the log for each of many 404s."""
    caplog.set_level(logging.ERROR, "django.request")
    return made


# What is asked for ------------------------------------------------------------------------------


def ask(agency: Agency, who: str, call: Call, path: str, **more: str) -> Any:
    """The answer to a call; a redirect of the console is followed."""
    client = agency.client(who)
    if call.action:
        return client.post(path, {"action": call.action} | more, follow=True)
    if path.startswith("/admin/"):
        posted = POSTED.get(call.path.rstrip("/").rpartition("/")[2], {})
        send = client.get if call.method == "GET" else client.post
        return send(path, posted if call.method == "POST" else None, follow=True)
    body = BODIES.get(call.path, {})
    return client.generic(call.method, path, json.dumps(body), "application/json")


def told(answer: Any, path: str) -> str:
    """What an answer says beside the address that was asked for."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    text: str = body.decode()
    for echoed in (path, quote(path)):
        text = text.replace(echoed, "")
    return text + str(answer.headers)


def is_refused(answer: Any) -> bool:
    """The console leads from a row that is not there to its first page."""
    if answer.status_code in HIDDEN:
        return True
    return [url for url, _status in getattr(answer, "redirect_chain", [])] == ["/admin/"]


KEPT_OUT = {IdempotentCall._meta.label, "sessions.Session"}  # what every call may write


def everything() -> dict[str, list[Any]]:
    """All rows of all tables."""
    return {
        model._meta.label: sorted(model._default_manager.values_list(), key=str)
        for model in apps.get_models()
        if model._meta.label not in KEPT_OUT
    }


def rows_of(brand: Rows) -> list[Any]:
    return [model._default_manager.filter(pk=row.pk).values_list() for model, row in brand.items()]


def now_of(brand: Rows) -> list[Any]:
    return [list(rows) for rows in rows_of(brand)]


# Below the version are the same calls once more.
TRIED = {c: call for c, call in CASES.items() if not call.path.startswith((*OPEN, VERSION))}
OF_A_ROW = {case: call for case, call in TRIED.items() if "{" in call.path and not call.action}
ACTIONS = {case: call for case, call in TRIED.items() if call.action}


def named(cases: dict[Any, Call]) -> Any:
    return pytest.mark.parametrize("call", cases.values(), ids=[" ".join(case) for case in cases])


# The tests --------------------------------------------------------------------------------------


def test_each_brand_has_a_row_of_everything_that_can_be_asked_for(agency):
    own = {
        m for m in apps.get_models() if m._meta.app_label in ("comments", "intents", "dmtrigger")
    }
    not_shown = {"SeenComment", "FileImport", "IdempotentCall"}
    wanted = {model for model in own if model.__name__ not in not_shown}
    wanted |= {call.model for call in CASES.values() if call.model} | set(admin.site._registry)
    assert wanted == set(agency.theirs)


@named(TRIED)
def test_no_answer_tells_of_an_account_that_is_not_seen(agency, call):
    path = agency.path(call, agency.ours)
    before = now_of(agency.theirs)
    ticked = {"_selected_action": str(agency.ours[call.model].pk)} if call.action else {}
    with transaction.atomic():
        answer = ask(agency, "scoped", call, path, **ticked)
        assert answer.status_code < 500
        assert THEIRS not in told(answer, path)
        assert now_of(agency.theirs) == before
        transaction.set_rollback(True)


@named(OF_A_ROW)
def test_a_row_of_an_account_that_is_not_seen_is_not_there(agency, call):
    path = agency.path(call, agency.theirs)
    if path == agency.path(call, agency.ours):
        return  # of no row
    before = everything()
    answer = ask(agency, "scoped", call, path)
    assert is_refused(answer)
    assert THEIRS not in told(answer, path)
    assert everything() == before


@named(ACTIONS)
def test_an_action_on_rows_of_an_account_that_is_not_seen_changes_nothing(agency, call):
    before = everything()
    ticked = {"_selected_action": str(agency.theirs[call.model].pk), "post": "yes"}
    answer = ask(agency, "scoped", call, path := agency.path(call, agency.theirs), **ticked)
    assert THEIRS not in told(answer, path)
    assert everything() == before


@named(ACTIONS)
def test_an_action_on_all_rows_is_one_on_those_that_are_seen(agency, call):
    before = now_of(agency.theirs)
    ticked = {"_selected_action": str(agency.ours[call.model].pk), "select_across": "1"}
    with transaction.atomic():
        answer = ask(agency, "scoped", call, path := agency.path(call, agency.ours), **ticked)
        assert THEIRS not in told(answer, path)
        assert now_of(agency.theirs) == before
        transaction.set_rollback(True)


GETS = {case: call for case, call in TRIED.items() if call.method == "GET" and not call.action}
WITHOUT_A_NAME = {
    ("intents.intentresult", "history"),
    ("intents.review", "history"),
    ("dmtrigger.click", "history"),
    ("/admin/intents/modelversion/compare/{picture}.svg", "GET"),
    ("/admin/intents/review/news/", "GET"),
    ("/admin/{app_label}/", "GET"),
    ("/admin/autocomplete/", "GET"),
    ("/admin/r/{content_type_id}/{object_id}/", "GET"),
    ("/admin/{url}", "GET"),
    ("/admin/two-factor/", "GET"),
}


@pytest.mark.parametrize("case", GETS, ids=" ".join)
def test_who_sees_every_account_is_told_of_both_and_others_of_their_own(agency, case):
    """Or the tests above would prove nothing."""
    call = GETS[case]
    theirs, ours = agency.path(call, agency.theirs), agency.path(call, agency.ours)
    whole = ask(agency, "whole", call, theirs)
    if whole.status_code == 405:
        return  # what is only posted to
    assert (THEIRS in told(whole, theirs)) != (case in WITHOUT_A_NAME)
    if hasattr(call.model, "seen_by"):
        scoped = ask(agency, "scoped", call, ours)
        if call.model is not WebhookEndpoint:  # seen as a choice only
            assert (OURS in told(scoped, ours)) != (case in WITHOUT_A_NAME)


@pytest.mark.parametrize("model", [m for m in admin.site._registry if hasattr(m, "seen_by")])
def test_a_search_in_the_console_finds_nothing_of_an_account_that_is_not_seen(agency, model):
    page = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    comment = agency.theirs[Comment]
    for term in (comment.author, comment.post_id, comment.external_id):
        answer = agency.client("scoped").get(page, {"q": term, "status": "all"})
        found = answer.context.get("cl") if answer.status_code == 200 else None
        assert found is None or not found.search_fields or not found.result_count


def filters() -> list[tuple[Call, str]]:
    """Each list of the API with each of its filters."""
    found = []
    for call in GETS.values():
        if call.model and "{" not in call.path and not call.path.startswith("/admin/"):
            view: Any = resolve(call.path).func
            filterset = getattr(view.cls, "filterset_class", None)
            found += [(call, name) for name in filterset.base_filters] if filterset else []
    return found


@pytest.mark.parametrize(("call", "name"), filters())
def test_a_filter_of_the_api_finds_nothing_of_an_account_that_is_not_seen(agency, call, name):
    row = agency.theirs[call.model]
    value = getattr(row, f"{name}_id", getattr(row, name, "true"))
    answer = agency.client("scoped").get(call.path, {name: str(value)})
    assert answer.status_code in (200, 400)
    assert THEIRS not in json.dumps(answer.json().get("results", []))


def test_a_filter_by_a_campaign_or_an_account_that_is_not_seen_is_by_none_that_there_is(agency):
    for name, model in (("campaign", Campaign), ("account", Account)):
        for key in (agency.theirs[model].pk, 10**6):
            answer = agency.client("scoped").get("/messages", {name: key})
            assert (answer.status_code, answer.json()["results"]) == (200, [])


@pytest.mark.parametrize("by", ["campaign", "variant", "post", "model_version"])
def test_the_funnel_counts_what_is_of_the_accounts_that_are_seen(agency, by):
    totals = {
        who: agency.client(who).get("/funnel", {"by": by}).json()["total"]
        for who in ("whole", "scoped")
    }
    counted = {
        who: (total["comments"], total["flagged"], total["sent"], total["orders"])
        for who, total in totals.items()
    }
    assert counted == {"whole": (11, 9, 3, 2), "scoped": (5, 4, 1, 1)}


def test_figures_that_are_kept_for_one_are_not_shown_to_another(agency):
    cache.clear()
    for period in ("24h", "7d", "30d"):
        for who, tells in (("whole", True), ("scoped", False), ("whole", True)):
            page = agency.client(who).get(f"/admin/?period={period}")
            assert (THEIRS in page.content.decode()) == tells
