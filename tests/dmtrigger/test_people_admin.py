"""People and accounts in the console."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from dmtrigger import people
from dmtrigger.models import Account, AuditEntry, Person
from tests.factories import AccountFactory, CommentFactory, DirectMessageFactory, UserFactory
from threadsagent.roles import CAMPAIGN_MANAGERS

pytestmark = pytest.mark.django_db
PEOPLE, ACCOUNTS = "/admin/dmtrigger/person/", "/admin/dmtrigger/account/"


@pytest.fixture
def console(client, operator):
    client.force_login(operator)
    return client


def contact(name: str = "ada") -> people.Contact:
    return people.contact("fake_platform", name, timezone.now())


def add(console, wish: str, **values):
    said = {"source": "fake_platform", "name": "ada", "wish": wish, "reason": "", **values}
    return console.post(f"{PEOPLE}add/", said)


@pytest.mark.parametrize(("wish", "days"), [("7", 7), ("30", 30), ("always", None)])
def test_an_operator_opts_a_person_out(console, wish, days):
    assert add(console, wish, name="@ada").status_code == 302
    person = Person.objects.get()
    assert (person.name, person.opted_out_by) == ("ada", "operator")
    assert (person.opted_out_until is None) == (days is None)
    assert contact().opted_out
    assert AuditEntry.objects.get().actor == "olga"


def test_an_operator_blocks_a_person_who_is_known_already(console):
    people.opt_out("fake_platform", "ada", Person.By.REPLY)
    assert add(console, "block", reason="insults").status_code == 302
    person = Person.objects.get()
    assert (person.block_reason, person.opted_out_by) == ("insults", "reply")


@pytest.mark.parametrize("values", [{"name": ""}, {"source": ""}, {"wish": "x"}])
def test_a_wish_of_nobody_is_none(console, values):
    assert add(console, **{"wish": "7", **values}).status_code == 200
    assert not Person.objects.exists()


def test_a_wish_is_taken_back_on_the_persons_page(console, operator):
    people.opt_out("fake_platform", "ada", Person.By.LINK)
    people.block("fake_platform", "ada", "otto")
    people.take_over("fake_platform", "ada", operator.pk, "olga")
    person = Person.objects.get()
    page = f"{PEOPLE}{person.pk}/change/"
    names = [name for name, _said in console.get(page).context["buttons"]]
    assert names == ["opt_in", "unblock", "hand_back"]
    for name in names:
        sent = {"action": name, "_selected_action": person.pk, "from_page": person.pk}
        assert console.post(PEOPLE, sent).url == page
    assert contact() == people.Contact(False, False, "", 0, ())
    assert console.get(page).context["buttons"] == []
    assert "nothing any more" in console.get(page).content.decode()


def test_a_person_shows_what_they_wrote_and_got(console):
    people.block("fake_platform", "ada", "olga", "rude")
    CommentFactory(author="ada", text="rubbish!")
    CommentFactory(author="ada", text="elsewhere", source="instagram")
    DirectMessageFactory(review__intent__comment__author="ada", text="Dear ada")
    html = console.get(f"{PEOPLE}{Person.objects.get().pk}/change/").content.decode()
    for shown in ("blocked since", "rude", "rubbish!", "Dear ada"):
        assert shown in html
    assert "elsewhere" not in html


def test_people_are_found_by_what_holds_and_by_name(console, operator):
    people.opt_out("fake_platform", "ada", Person.By.LINK, days=7)
    people.block("fake_platform", "bea", "olga")
    people.take_over("fake_platform", "cyd", operator.pk, "olga")
    over = timezone.now() - timedelta(days=1)
    Person.objects.create(name="dot", opted_out_at=over, opted_out_until=over, talking_until=over)
    for query, name in (
        ({"wish": "out"}, "ada"),
        ({"wish": "blocked"}, "bea"),
        ({"wish": "talking"}, "cyd"),
        ({"q": "@dot"}, "dot"),
    ):
        rows = console.get(PEOPLE, query).context["cl"].result_list
        assert [person.name for person in rows] == [name]


def test_who_only_looks_changes_nobody(client):
    viewer = UserFactory(is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_person"))
    client.force_login(viewer)
    people.opt_out("fake_platform", "ada", Person.By.LINK)
    person = Person.objects.get()
    assert client.get(f"{PEOPLE}{person.pk}/change/").context["buttons"] == []
    client.post(PEOPLE, {"action": "opt_in", "_selected_action": [person.pk]})
    assert add(client, "block").status_code == 403
    assert contact().opted_out


def test_nothing_else_of_a_person_can_be_edited(console):
    people.block("fake_platform", "ada", "olga")
    page = f"{PEOPLE}{Person.objects.get().pk}/change/"
    assert console.post(page, {"name": "bea"}).status_code == 403


# --- accounts ---------------------------------------------------------------------------------


@pytest.fixture
def manager(client):
    user = UserFactory(username="mia", is_staff=True)
    user.groups.add(Group.objects.get(name=CAMPAIGN_MANAGERS))
    client.force_login(user)
    return client


def test_accounts_say_how_busy_they_are(manager, django_assert_max_num_queries):
    AccountFactory(name="quiet", hourly_limit=1234)
    paused = AccountFactory(
        name="busy",
        paused_until=timezone.now() + timedelta(hours=2, minutes=1),
        pause_reason="HTTP 403, code 368",
        usage_percent=93.4,
        usage_at=timezone.now(),
    )
    DirectMessageFactory(account=paused)
    with django_assert_max_num_queries(10):
        html = manager.get(ACCOUNTS).content.decode()
    for shown in ("HTTP 403, code 368", "93 %", "2\xa0hours from now", "750"):
        assert shown in html


def test_a_paused_account_is_resumed_on_its_page(manager):
    account = AccountFactory(
        paused_until=timezone.now() + timedelta(hours=1), pause_reason="token dead"
    )
    assert "Resume" in manager.get(f"{ACCOUNTS}{account.pk}/change/").content.decode()
    sent = {"action": "resume", "_selected_action": account.pk, "from_page": account.pk}
    assert manager.post(ACCOUNTS, sent).status_code == 302
    account.refresh_from_db()
    assert (account.paused_until, account.pause_reason) == (None, "")
    assert AuditEntry.objects.get().actor == "mia"


def test_to_edit_an_account_does_not_end_a_pause_that_came_meanwhile(manager, monkeypatch):
    account = AccountFactory(name="shop")
    until = timezone.now() + timedelta(hours=1)
    save = Account.save

    def paused_meanwhile(self, *args, **kwargs):
        Account.objects.update(paused_until=until)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Account, "save", paused_meanwhile)
    said = {"usernames": "shop, @shop_de", "hourly_limit": 50, "source": "x", "name": "y"}
    assert manager.post(f"{ACCOUNTS}{account.pk}/change/", said).status_code == 302
    account.refresh_from_db()
    assert (account.hourly_limit, account.paused_until, account.name) == (50, until, "shop")
    assert account.owns("Shop_DE")


def test_an_account_is_added_and_never_deleted(manager):
    said = {"source": "fake_platform", "name": "new", "usernames": "", "hourly_limit": ""}
    assert manager.post(f"{ACCOUNTS}add/", said).status_code == 302
    account = Account.objects.get()
    assert manager.post(f"{ACCOUNTS}{account.pk}/delete/", {"post": "yes"}).status_code == 403


def test_an_operator_looks_at_accounts_and_resumes_none(console):
    account = AccountFactory(paused_until=timezone.now() + timedelta(hours=1))
    assert console.get(f"{ACCOUNTS}{account.pk}/change/").context["buttons"] == []
    console.post(ACCOUNTS, {"action": "resume", "_selected_action": [account.pk]})
    account.refresh_from_db()
    assert account.paused_until
