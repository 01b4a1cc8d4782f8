"""Two-factor login: without the second step a session is nobody's."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken

from dmtrigger.models import AuditEntry
from tests.authenticator import code_of, turn_on, wrong_code_of
from tests.factories import UserFactory
from threadsagent import two_factor
from threadsagent.models import Authenticator, RecoveryCodes, User
from threadsagent.roles import ADMINISTRATORS, VIEWERS

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
PAGE = "/admin/two-factor/"
RIGHT = "correct horse battery"
RECOVERY_CODE = "<code>[a-z2-7]{4}(?:-[a-z2-7]{4}){3}</code>"


@pytest.fixture(autouse=True)
def quick_hashes(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def make_user(name: str, group: str) -> User:
    user = UserFactory(username=name, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    user.set_password(RIGHT)
    user.save()
    return user


@pytest.fixture
def vera(quick_hashes) -> User:
    return make_user("vera", VIEWERS)


@pytest.fixture
def codes(vera) -> list[str]:
    """Vera has two-factor login; her recovery codes."""
    return turn_on(vera)


@pytest.fixture
def console(client, vera):
    """Vera's session, before she has two-factor login."""
    give_password(client)
    return client


def give_password(client, username: str = "vera"):
    return client.post(LOGIN, {"username": username, "password": RIGHT})


def give_code(client, code: str, **said: str):
    return client.post(LOGIN, {"code": code, **said})


def is_in(client) -> bool:
    """For the console and for the API: they never differ."""
    answers = {client.get("/admin/").status_code == 200, client.get("/reviews").status_code == 200}
    assert len(answers) == 1
    return answers.pop()


def let_pass(seconds: float) -> None:
    """As if the last wrong code were so long ago."""
    for kind in (Authenticator, RecoveryCodes):
        for device in kind.objects.exclude(throttling_failure_timestamp=None):
            device.throttling_failure_timestamp -= timedelta(seconds=seconds)
            device.save()


# Signing in -------------------------------------------------------------------------------------


def test_without_two_factor_login_the_password_does(console):
    assert is_in(console)


@pytest.mark.usefixtures("codes")
def test_after_the_password_a_session_is_nobodys_until_the_code(client, vera):
    give_password(client)
    assert not is_in(client)
    assert "recovery code" in client.get(LOGIN).content.decode()
    assert give_code(client, code_of(vera)).url == "/admin/"
    assert is_in(client)


@pytest.mark.usefixtures("codes")
def test_after_the_password_alone_nothing_of_the_console_is_seen_or_done(client):
    give_password(client)
    for path in ("/admin/", PAGE, "/admin/password_change/", "/admin/intents/review/"):
        assert client.get(path).url.startswith(LOGIN)
        assert client.post(path, {"do": "off", "code": RIGHT}).url.startswith(LOGIN)
    assert client.get("/api/docs/").url.startswith(LOGIN)
    assert client.get("/api/schema").status_code == 401
    assert client.get("/metrics").status_code == 403
    assert Authenticator.objects.get().confirmed


@pytest.mark.usefixtures("codes")
def test_one_comes_to_the_page_that_one_wanted(client, vera):
    wanted = "/admin/intents/review/?o=1"
    asked = client.get(wanted).url
    client.post(asked, {"username": "vera", "password": RIGHT})
    assert 'name="next" value="/admin/intents/review/?o=1"' in client.get(asked).content.decode()
    assert give_code(client, code_of(vera), next=wanted).url == wanted


@pytest.mark.usefixtures("codes")
def test_nobody_is_led_elsewhere_after_the_code(client, vera):
    give_password(client)
    assert give_code(client, code_of(vera), next="https://elsewhere.example/").url == "/admin/"


@pytest.mark.usefixtures("codes")
def test_a_wrong_code_lets_nobody_in(client, vera):
    give_password(client)
    assert "not right" in give_code(client, wrong_code_of(vera)).content.decode()
    assert not is_in(client)


@pytest.mark.usefixtures("codes")
def test_a_code_lets_in_once(client, vera):
    code = code_of(vera)
    give_password(client)
    give_code(client, code)
    client.logout()
    give_password(client)
    assert "not right" in give_code(client, code).content.decode()
    assert not is_in(client)


def test_a_recovery_code_lets_in_once_and_is_on_record(client, codes):
    for code, lets_in in ((codes[3], True), (codes[3], False)):
        give_password(client)
        give_code(client, code.upper().replace("-", " "))
        assert is_in(client) == lets_in
        client.logout()
    assert AuditEntry.objects.filter(action="use recovery code", actor="vera").count() == 1


@pytest.mark.usefixtures("codes")
def test_anothers_code_lets_nobody_in(client):
    olga = make_user("olga", VIEWERS)
    turn_on(olga)
    give_password(client)
    give_code(client, code_of(olga))
    assert not is_in(client)


def test_anothers_recovery_code_lets_nobody_in(client, codes):
    turn_on(make_user("olga", VIEWERS))
    give_password(client, "olga")
    give_code(client, codes[0])
    assert not is_in(client)


@pytest.mark.usefixtures("codes")
def test_who_gave_the_wrong_name_starts_over(client):
    give_password(client)
    client.post(LOGIN, {"again": "1"})
    assert "Username" in client.get(LOGIN).content.decode()


@pytest.mark.usefixtures("codes")
def test_the_session_gets_another_key_with_the_second_step(client, vera):
    give_password(client)
    before = client.session.session_key
    give_code(client, code_of(vera))
    assert client.session.session_key != before


@pytest.mark.usefixtures("codes")
def test_a_token_of_the_api_needs_no_code(client, vera):
    _token, key = AuthToken.objects.create(vera)
    header = {"Authorization": f"Token {key}"}
    assert client.get("/reviews", headers=header).status_code == 200


# Guessing ---------------------------------------------------------------------------------------


def test_after_a_wrong_code_the_right_one_has_to_wait(client, vera, codes):
    give_password(client)
    give_code(client, wrong_code_of(vera))
    assert "Try again in 1 s" in give_code(client, code_of(vera)).content.decode()
    let_pass(1)
    give_code(client, code_of(vera))
    assert is_in(client)


def test_wrong_codes_of_the_app_hold_up_no_recovery_code(client, vera, codes):
    give_password(client)
    give_code(client, wrong_code_of(vera))
    give_code(client, codes[0])
    assert is_in(client)


@pytest.mark.usefixtures("codes")
def test_codes_and_passwords_have_ten_attempts_together(client, vera):
    give_password(client)
    for _ in range(9):
        let_pass(3600)
        assert "not right" in give_code(client, wrong_code_of(vera)).content.decode()
    let_pass(3600)
    assert "Too many attempts" in give_code(client, code_of(vera)).content.decode()
    other = Client()
    assert "Too many attempts" in give_password(other).content.decode()


@pytest.mark.usefixtures("codes")
@pytest.mark.parametrize("code", ["", "1", "abcdef", "１２３４５６", "0" * 41, "a" * 16, "\x00"])
def test_what_is_no_code_at_all_is_refused(client, code):
    give_password(client)
    assert give_code(client, code).status_code == 200
    assert not is_in(client)


@pytest.mark.django_db(transaction=True)
def test_of_two_logins_with_one_code_at_the_same_moment_one_succeeds(vera, codes):
    code = code_of(vera)

    def enter(_: int) -> bool:
        try:
            two_factor.check(vera, code)
        except ValidationError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(enter, range(4))) == 1


# Turning it on ----------------------------------------------------------------------------------


def test_one_turns_it_on_with_a_code_and_gets_ten_recovery_codes_once(console, vera):
    console.post(PAGE, {"do": "begin"})
    html = console.get(PAGE).content.decode()
    secret = Authenticator.objects.get().secret
    assert "data:image/svg+xml" in html
    assert " ".join(re.findall("....", secret)) in html
    shown = console.post(PAGE, {"do": "confirm", "code": code_of(vera)}).content.decode()
    assert len(set(re.findall(RECOVERY_CODE, shown))) == 10
    later = console.get(PAGE).content.decode()
    assert "10 recovery codes left" in later
    assert not re.search(RECOVERY_CODE, later)
    assert secret[:4] not in later
    assert is_in(console)


def test_nothing_is_turned_on_by_looking(console):
    console.get(PAGE)
    assert not Authenticator.objects.exists()


def test_until_it_is_confirmed_the_password_does(client, console, vera):
    console.post(PAGE, {"do": "begin"})
    console.post(PAGE, {"do": "confirm", "code": wrong_code_of(vera)})
    client.logout()
    give_password(client)
    assert is_in(client)


def test_the_first_code_cannot_be_used_again(console, vera):
    console.post(PAGE, {"do": "begin"})
    code = code_of(vera)
    console.post(PAGE, {"do": "confirm", "code": code})
    console.logout()
    give_password(console)
    give_code(console, code)
    assert not is_in(console)


@pytest.mark.usefixtures("vera")
def test_other_sessions_need_the_second_step_from_then_on(console, vera):
    other = Client()
    give_password(other)
    assert is_in(other)
    turn_on(vera)
    assert not is_in(other)
    give_code(other, code_of(vera))
    assert is_in(other)


def test_who_has_it_gets_no_new_secret(console, vera):
    console.post(PAGE, {"do": "begin"})
    console.post(PAGE, {"do": "confirm", "code": code_of(vera)})
    before = Authenticator.objects.get().secret
    console.post(PAGE, {"do": "begin"})
    assert Authenticator.objects.get().secret == before
    assert Authenticator.objects.get().confirmed


@pytest.mark.usefixtures("codes")
def test_neither_the_secret_nor_the_recovery_codes_are_stored_as_they_are(codes):
    secret = Authenticator.objects.get().secret
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a::text || r::text FROM threadsagent_authenticator a,"
            " threadsagent_recoverycodes r"
        )
        stored = cursor.fetchone()[0]
    assert secret not in stored
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)


# Turning it off ---------------------------------------------------------------------------------


@pytest.fixture
def both_steps(client, vera, codes):
    give_password(client)
    give_code(client, code_of(vera))
    return client


@pytest.mark.parametrize("by", ["app", "recovery code", "password"])
def test_one_turns_it_off_with_a_code_or_the_password(both_steps, vera, codes, by):
    said = {"app": code_of(vera), "recovery code": codes[0], "password": RIGHT}[by]
    both_steps.post(PAGE, {"do": "off", "code": said})
    assert not Authenticator.objects.exists()
    assert not RecoveryCodes.objects.exists()
    both_steps.logout()
    give_password(both_steps)
    assert is_in(both_steps)


def test_it_is_not_turned_off_with_anything_else(both_steps, vera):
    both_steps.post(PAGE, {"do": "off", "code": wrong_code_of(vera)})
    both_steps.post(PAGE, {"do": "off", "code": "wrong password"})
    both_steps.post(PAGE, {"do": "off"})
    assert Authenticator.objects.get().confirmed


def test_guesses_there_count_as_attempts_to_sign_in(both_steps):
    for n in range(8):
        both_steps.post(PAGE, {"do": "off", "code": f"guess {n}"})
    answer = both_steps.post(PAGE, {"do": "off", "code": RIGHT})
    assert "Too many attempts" in answer.content.decode()
    assert Authenticator.objects.exists()


def test_what_was_done_is_in_the_audit_log(both_steps, vera):
    both_steps.post(PAGE, {"do": "off", "code": RIGHT})
    told = AuditEntry.objects.order_by("pk").values_list("actor", "action", "target")
    assert list(told) == [
        ("vera", "turn on two-factor login", f"user {vera.pk}"),
        ("vera", "turn off two-factor login", f"user {vera.pk}"),
    ]


# Required of everybody --------------------------------------------------------------------------


@pytest.fixture
def required(settings):
    settings.REQUIRE_TWO_FACTOR = True


@pytest.mark.usefixtures("required", "vera")
def test_where_all_need_it_one_sets_it_up_before_anything_else(client, vera):
    give_password(client)
    assert not is_in(client)
    assert client.get(LOGIN).url == PAGE
    assert "everybody signs in in two steps" in client.get(PAGE).content.decode()
    client.post(PAGE, {"do": "begin"})
    client.post(PAGE, {"do": "confirm", "code": code_of(vera)})
    assert is_in(client)


@pytest.mark.usefixtures("required", "codes")
def test_where_all_need_it_the_password_alone_sets_up_no_other(client):
    give_password(client)
    assert client.get(PAGE).url.startswith(LOGIN)
    assert client.post(PAGE, {"do": "begin"}).url.startswith(LOGIN)
    assert Authenticator.objects.get().confirmed


@pytest.mark.usefixtures("required")
def test_who_is_no_staff_has_no_page_to_set_it_up(client):
    client.force_login(UserFactory(username="shop"))
    assert client.get(PAGE).url.startswith(LOGIN)
    assert "Username" in client.get(LOGIN).content.decode()


@pytest.mark.usefixtures("required")
def test_where_all_need_it_who_turns_it_off_is_out_until_they_have_it_again(both_steps):
    both_steps.post(PAGE, {"do": "off", "code": RIGHT})
    assert not is_in(both_steps)
    assert both_steps.get(PAGE).status_code == 200


# Resetting another's ----------------------------------------------------------------------------

USERS = "/admin/threadsagent/user/"


def reset(client, user: User) -> str:
    said = {"action": "reset_two_factor", "_selected_action": str(user.pk)}
    return str(client.post(USERS, said, follow=True).content.decode())


@pytest.fixture
def ann(client, quick_hashes) -> User:
    """An administrator, signed in."""
    user = make_user("ann", ADMINISTRATORS)
    client.force_login(user)
    return user


@pytest.mark.usefixtures("codes")
def test_an_administrator_resets_anothers(client, ann, vera):
    assert "Two-factor login is off: vera" in reset(client, vera)
    assert not Authenticator.objects.exists()
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor, entry.action, entry.target) == (
        "ann", "turn off two-factor login", f"user {vera.pk}"
    )  # fmt: skip


def test_nobody_resets_that_of_who_has_more_rights(client, ann):
    root = UserFactory(username="root", is_staff=True, is_superuser=True)
    turn_on(root)
    assert "rights that you do not have" in reset(client, root)
    assert Authenticator.objects.get().confirmed


def test_nobody_resets_their_own_without_a_code(client, ann):
    two_factor.begin(ann)
    Authenticator.objects.update(confirmed=True)
    session = client.session
    session[two_factor.PASSED] = Authenticator.objects.get().pk
    session.save()
    assert "Your own is turned off on its page" in reset(client, ann)
    assert Authenticator.objects.exists()


@pytest.mark.usefixtures("codes")
def test_the_list_of_users_shows_who_has_it(client, ann, django_assert_max_num_queries):
    with django_assert_max_num_queries(10):
        html = client.get(USERS).content.decode()
    cells = re.findall(r'field-has_two_factor"><img src="[^"]*icon-(\w+)\.svg', html)
    assert sorted(cells) == ["no", "yes"]


def test_a_page_costs_no_more_queries_with_it(both_steps, vera):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert both_steps.get("/admin/intents/review/").status_code == 200
        return len(captured)

    queries()  # what is kept from now on
    with_it = queries()
    two_factor.turn_off(vera, by=vera)
    assert queries() == with_it
