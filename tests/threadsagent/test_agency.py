"""What somebody may do who sees some of an agency's accounts; what they see is in
`test_accounts_seen`."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from comments.models import Comment, Monitor
from dmtrigger.models import (
    Account,
    AuditEntry,
    Campaign,
    DirectMessage,
    Person,
    Refusal,
    WebhookEndpoint,
)
from intents.models import Review
from tests.factories import (
    AccountFactory,
    CampaignFactory,
    CommentFactory,
    DirectMessageFactory,
    MonitorFactory,
    ReviewFactory,
    UserFactory,
)
from threadsagent.models import User
from threadsagent.roles import ADMINISTRATORS

pytestmark = pytest.mark.django_db
BATCH = [{"id": "c1", "text": "Price?", "author": "ada", "timestamp": "2026-01-25T10:30:00Z"}]
VARIANT = {"name": "A", "template": "Hi {{ author }}: {{ link }} (automated)"}
NEW = {"name": "Launch", "link": "https://shop.example/tent", "variants": [VARIANT]}


@pytest.fixture
def shop() -> Account:
    return AccountFactory(name="shop")


@pytest.fixture
def club() -> Account:
    return AccountFactory(name="club")


@pytest.fixture
def sam(shop) -> User:
    """All rights, but of one account."""
    user = UserFactory(username="sam", is_staff=True, every_account=False)
    user.user_permissions.set(Permission.objects.all())
    user.accounts.add(shop)
    return user


@pytest.fixture
def api(sam) -> APIClient:
    client = APIClient()
    client.force_login(User.objects.get(pk=sam.pk))
    return client


@pytest.fixture
def console(sam) -> Client:
    client = Client()
    client.force_login(sam)
    return client


def post(api: APIClient, path: str, **said: Any) -> Any:
    return api.post(path, said, format="json")


def is_a_problem(answer: Any, status: int = 403) -> bool:
    kind = answer.headers["Content-Type"]
    return answer.status_code == status and kind == "application/problem+json"


# --- comments and monitors ---


def test_comments_are_handed_in_for_an_account_that_is_seen(api):
    answer = post(api, "/comments/process", post_id="p", account="shop", comments=BATCH)
    assert answer.json()["stored_count"] == 1


@pytest.mark.parametrize("account", ["club", "", "nobody"])
def test_comments_are_handed_in_for_no_other_account(api, club, account):
    answer = post(api, "/comments/process", post_id="p", account=account, comments=BATCH)
    assert is_a_problem(answer)
    assert not Comment.objects.exists()


def test_a_post_of_another_account_is_not_read_by_naming_ones_own(api, club, fake_platform):
    fake_platform.store.add_comment("theirs", "Where?", "bob")
    CommentFactory(account="club", post_id="theirs")
    answer = post(api, "/comments/process", post_id="theirs", account="shop")
    assert is_a_problem(answer)
    assert "club" not in answer.content.decode()
    assert Comment.objects.count() == 1


def test_a_post_of_an_account_that_is_seen_is_watched(api):
    assert post(api, "/comments/monitor", post_id="p", account="shop").status_code == 201


@pytest.mark.parametrize("account", ["club", ""])
def test_a_post_of_another_account_is_not_watched(api, club, account):
    assert is_a_problem(post(api, "/comments/monitor", post_id="p", account=account))
    assert not Monitor.objects.exists()


def test_another_accounts_monitor_is_not_started_by_naming_ones_own(api, club):
    monitor = MonitorFactory(post_id="p", account="club", status="stopped")
    answer = post(api, "/comments/monitor", post_id="p", account="shop", interval_seconds=7)
    assert is_a_problem(answer)
    assert monitor.task_id not in answer.content.decode()
    monitor.refresh_from_db()
    assert (monitor.status, monitor.interval_seconds) == ("stopped", 60)


def test_in_the_console_a_post_is_watched_for_an_account_that_is_seen(console, club):
    form = {"source": "fake_platform", "post_id": "p", "interval_seconds": 60}
    said = console.post("/admin/comments/monitor/add/", form | {"account": "club"})
    assert "you do not see the account club" in said.content.decode()
    console.post("/admin/comments/monitor/add/", form | {"account": "shop"})
    assert Monitor.objects.get().account == "shop"


def test_in_the_console_a_post_of_another_account_is_not_watched_either(console, club):
    CommentFactory(account="club", post_id="theirs")
    form = {"source": "fake_platform", "post_id": "theirs", "interval_seconds": 60}
    said = console.post("/admin/comments/monitor/add/", form | {"account": "shop"})
    assert "this post is another account&#x27;s" in said.content.decode()
    assert not Monitor.objects.exists()


def test_an_answer_is_not_repeated_to_who_sees_other_accounts_by_now(api, sam, shop, club):
    key = {"HTTP_IDEMPOTENCY_KEY": "k"}
    said = {"post_id": "p", "account": "shop"}
    assert api.post("/comments/monitor", said, format="json", **key).status_code == 201
    assert api.post("/comments/monitor", said, format="json", **key).status_code == 201
    sam.accounts.set([club])
    assert is_a_problem(api.post("/comments/monitor", said, format="json", **key), 422)


# --- campaigns ---


@pytest.fixture
def everywhere(shop) -> Campaign:
    """A campaign of every account."""
    return CampaignFactory(name="everywhere", is_active=False)


def test_a_campaign_of_every_account_is_seen_and_not_changed(api, console, everywhere):
    page = f"/admin/dmtrigger/campaign/{everywhere.pk}"
    assert api.get(f"/campaigns/{everywhere.pk}").status_code == 200
    assert "everywhere" in console.get(f"{page}/change/").content.decode()
    answer = api.patch(f"/campaigns/{everywhere.pk}", {"priority": 1}, format="json")
    assert is_a_problem(answer)
    assert console.post(f"{page}/change/", {"name": "ours"}).status_code == 403
    assert console.post(f"{page}/delete/", {"post": "yes"}).status_code == 403


def test_several_are_activated_but_none_of_every_account(console, everywhere, shop):
    ours = CampaignFactory(account=shop, is_active=False)
    ticked = {"action": "activate", "_selected_action": [ours.pk, everywhere.pk]}
    said = console.post("/admin/dmtrigger/campaign/", ticked, follow=True).content.decode()
    assert "of every account: everywhere" in said
    assert list(Campaign.objects.filter(is_active=True)) == [ours]


def test_a_campaign_is_made_for_an_account_that_is_seen(api, shop, club):
    for wrong in ({}, {"account": None}, {"account": club.pk}):
        answer = post(api, "/campaigns", **NEW, **wrong)
        assert answer.status_code == 400
        assert [error["field"] for error in answer.json()["errors"]] == ["account"]
    assert post(api, "/campaigns", **NEW, account=shop.pk).status_code == 201


@pytest.mark.parametrize("to", ["club", None])
def test_a_campaign_is_not_given_to_an_account_that_is_not_seen(api, shop, club, to):
    campaign = CampaignFactory(account=shop)
    said = {"account": club.pk if to else None}
    answer = api.patch(f"/campaigns/{campaign.pk}", said, format="json")
    assert answer.status_code == 400
    campaign.refresh_from_db()
    assert campaign.account == shop


def test_the_console_offers_the_accounts_that_are_seen_and_needs_one(console, shop, club):
    page = console.get("/admin/dmtrigger/campaign/add/")
    field = page.context["adminform"].form.fields["account"]
    assert list(field.queryset) == [shop]
    assert field.required


def test_a_campaign_hands_over_to_an_endpoint_of_a_campaign_that_is_seen(api, shop, club):
    ours, theirs = (
        WebhookEndpoint.objects.create(name=name, url=f"https://{name}.example/")
        for name in ("ours", "theirs")
    )
    for account, endpoint in ((shop, ours), (club, theirs)):
        CampaignFactory(account=account, channel="webhook", endpoint=endpoint)
    said = NEW | {"account": shop.pk, "channel": "webhook"}
    assert post(api, "/campaigns", **said, endpoint=theirs.pk).status_code == 400
    assert post(api, "/campaigns", **said, endpoint=ours.pk).status_code == 201


def test_the_preview_is_for_a_comment_that_is_seen(console, shop, club):
    ours = CampaignFactory(account=shop)
    theirs = CampaignFactory(account=club)
    for account, author in (("shop", "ada"), ("club", "bob")):
        ReviewFactory(intent__comment__account=account, intent__comment__author=author)
    form = {"template": "Hi {{ author }}: {{ link }} (automated)", "channel": "direct_message"}
    page = "/admin/dmtrigger/campaign/preview/"
    for campaign in ("", ours.pk):
        said = console.post(page, form | {"campaign": campaign}).json()
        assert said["text"].startswith("Hi ada")
    assert console.post(page, form | {"campaign": theirs.pk}).status_code == 400


def test_a_campaign_that_refused_for_another_account_is_not_deleted(console, shop, club):
    campaign = CampaignFactory(account=shop)  # by now; it was of every account
    comment = CommentFactory(account="club")
    Refusal.objects.create(comment_id=comment.pk, campaign=campaign, rule="age", reason="bob")
    page = f"/admin/dmtrigger/campaign/{campaign.pk}/delete/"
    assert console.get(page).status_code == 403
    comment.delete()
    Refusal.objects.all().delete()
    assert console.get(page).status_code == 200


# --- reviews ---


def test_the_news_are_of_the_accounts_that_are_seen(console, club):
    ours = ReviewFactory(intent__comment__account="shop")
    ReviewFactory(intent__comment__account="club")
    news = console.get("/admin/intents/review/news/", {"after": 0}).json()
    assert news == {"waiting": 1, "new": 1, "newest": ours.pk}


# --- people ---


def test_a_person_is_opted_out_on_the_platform_of_an_account_that_is_seen(api):
    assert post(api, "/opt-outs", source="fake_platform", name="ada").status_code == 201
    answer = post(api, "/opt-outs", source="elsewhere", name="ada")
    assert [error["field"] for error in answer.json()["errors"]] == ["source"]
    assert Person.objects.get().source == "fake_platform"


def test_the_console_keeps_to_these_platforms_too(console):
    form = {"source": "elsewhere", "name": "ada", "wish": "always"}
    said = console.post("/admin/dmtrigger/person/add/", form).content.decode()
    assert "You see no account of this platform" in said
    console.post("/admin/dmtrigger/person/add/", form | {"source": "fake_platform"})
    assert Person.objects.get().source == "fake_platform"


@pytest.mark.parametrize("action", ["block", "take-over"])
def test_an_author_is_blocked_and_taken_over_from_a_review_and_then_seen(console, shop, action):
    review = ReviewFactory(intent__comment__account="shop")
    console.post(f"/admin/intents/review/{review.pk}/{action}/")
    person = Person.objects.get(name="ada")
    page = console.get(f"/admin/dmtrigger/person/{person.pk}/change/")
    assert page.status_code == 200


def test_what_a_person_got_from_another_account_counts_and_is_not_shown(console, shop, club):
    CampaignFactory(account=shop)
    review = ReviewFactory(intent__comment__account="shop")
    DirectMessageFactory(
        account=club,
        text="From the club",
        state="sent",
        sent_at=timezone.now(),
        review__intent__comment__account="club",
        review__status=Review.Status.APPROVED,
        review__decided_at=timezone.now(),
        review__decided_by_rule="a rule",
    )
    page = console.get(f"/admin/intents/review/{review.pk}/change/")
    assert page.context["is_forbidden"]  # they had a message a short while ago
    assert "From the club" not in page.content.decode()
    assert list(page.context["history"]["messages"]) == []
    [row] = console.get("/admin/intents/review/").context["cl"].result_list
    assert (row.row.sent, bool(row.row.problem)) == (0, True)


# --- nothing ---


def test_without_an_account_there_is_nothing(api, console, sam, everywhere):
    sam.accounts.clear()
    CommentFactory(account="shop")
    CommentFactory()
    for path in ("/comments", "/campaigns", "/accounts", "/reviews", "/messages"):
        assert api.get(path).json()["results"] == []
    assert console.get("/admin/").status_code == 200
    assert console.get("/admin/intents/review/").context["cl"].result_count == 0
    assert api.get("/funnel").json()["total"]["comments"] == 0
    assert is_a_problem(post(api, "/comments/process", post_id="p", comments=BATCH))


@pytest.mark.parametrize("path", ["comments/comment/", "intents/review/", "dmtrigger/campaign/"])
def test_to_know_what_somebody_sees_is_one_more_query(console, sam, shop, path):
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert console.get(f"/admin/{path}").status_code == 200
        return len(asked)

    scoped = queries()
    sam.every_account = True
    sam.save()
    assert scoped == queries() + 1


# --- who says who sees what ---


def test_an_administrator_says_which_accounts_a_user_sees(client, shop):
    ann, olga = UserFactory(username="ann", is_staff=True), UserFactory(username="olga")
    ann.groups.add(Group.objects.get(name=ADMINISTRATORS))
    client.force_login(ann)
    page = f"/admin/threadsagent/user/{olga.pk}/change/"
    form = {"username": "olga", "date_joined_0": "2026-01-01", "date_joined_1": "10:00:00"}
    assert client.post(page, form | {"accounts": [shop.pk]}).status_code == 302
    changed_user = User.objects.get(username="olga")
    assert (changed_user.every_account, list(changed_user.accounts.all())) == (False, [shop])
    changed = AuditEntry.objects.latest("pk").details["changes"]
    assert {"Every account", "Accounts"} <= set(changed[0]["changed"]["fields"])


def test_who_sees_some_accounts_rules_over_nobody(console, sam):
    olga = UserFactory(username="olga", every_account=False)
    for path in ("", "add/", f"{olga.pk}/change/", f"{olga.pk}/password/"):
        assert console.get(f"/admin/threadsagent/user/{path}").status_code in (302, 403)
        console.post(f"/admin/threadsagent/user/{path}", {"every_account": "on"})
    assert console.post("/admin/knox/authtoken/add/", {"user": olga.pk}).status_code == 403
    sam.refresh_from_db()
    olga.refresh_from_db()
    assert not sam.every_account
    assert not olga.every_account


def test_a_message_of_another_account_is_not_there_for_the_api(api, club):
    message = DirectMessageFactory(account=club, review__intent__comment__account="club")
    for call in ("cancel", "undo", "settle"):
        assert is_a_problem(post(api, f"/messages/{message.pk}/{call}", delivered=True), 404)
    assert DirectMessage.objects.get().state == "pending"
