"""Short links lead to where the row says, quickly, and nowhere else."""

from unittest import mock

import pytest
from django.db import InterfaceError, connection
from django.test import Client

from dmtrigger import clicks, links, redirect
from dmtrigger.models import Click, DirectMessage
from dmtrigger.states import State
from tests.factories import DirectMessageFactory

pytestmark = pytest.mark.django_db

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Mobile/15E148 Instagram 312.0.0.32.118 (iPhone13,2; iOS 17_4; en_US)"
)
SHOP = "https://shop.example/backpack?color=red"


@pytest.fixture(autouse=True)
def nothing_remembered():
    redirect.forget()


@pytest.fixture
def message() -> DirectMessage:
    return DirectMessageFactory(link=SHOP, state=State.SENT)


@pytest.fixture
def token(message) -> str:
    return links.token_of(message.comment_id)


def visit(token: str, method: str = "GET", client: Client | None = None, **headers: str):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return (client or Client()).generic(
        method, f"/r/{token}", headers={"User-Agent": PHONE} | names
    )


def test_a_link_leads_to_the_messages_own_address_and_names_the_message_there(token):
    answer = visit(token)
    assert (answer.status_code, answer["Location"]) == (302, f"{SHOP}&ta={token}")
    assert (answer["Cache-Control"], answer["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert answer["Content-Length"] == "0"


@pytest.mark.parametrize(
    ("link", "leads_to"),
    [
        ("https://shop.example", "https://shop.example?ta={}"),
        ("https://shop.example/a?b=1", "https://shop.example/a?b=1&ta={}"),
        (
            "https://shop.example/a?b=%20c+d&e&f=#size",
            "https://shop.example/a?b=%20c+d&e&f=&ta={}#size",
        ),
        ("https://shop.example/#a?b", "https://shop.example/?ta={}#a?b"),
        ("http://shop.example/größe?q=ü", "http://shop.example/gr%C3%B6%C3%9Fe?q=%C3%BC&ta={}"),
    ],
)
def test_the_rest_of_the_address_stays_as_it_was(link, leads_to):
    token = links.token_of(DirectMessageFactory(link=link).comment_id)
    assert visit(token)["Location"] == leads_to.format(token)


def test_a_visit_is_one_click_of_the_message(message, token):
    visit(token)
    assert (clicks.waiting(), Click.objects.count()) == (1, 0)
    assert clicks.store_noted() == 1
    click = Click.objects.get()
    assert (click.message, click.is_bot, click.user_agent) == (message, False, PHONE)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "../admin",
        "https://evil.example",
        "%00",
        "ä",
        "a" * 5_000,
    ],
)
def test_a_token_that_is_none_of_ours_gets_a_page_for_people(wrong):
    with mock.patch.object(connection, "cursor", side_effect=AssertionError("not worth a query")):
        answer = visit(wrong)
    assert answer.status_code == 404
    assert "This link leads nowhere" in answer.content.decode()
    assert clicks.waiting() == 0


def test_a_token_with_one_character_changed_is_none_of_ours(token):
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        assert visit(token[:place] + other + token[place + 1 :]).status_code == 404


def test_a_good_token_of_no_message_gets_the_same_page():
    assert visit(links.token_of(1)).status_code == 404


@pytest.mark.parametrize(
    "link", ["", "javascript:alert(1)", "data:text/html,x", "ftp://shop.example/", "//evil.example"]
)
def test_only_web_addresses_are_led_to(link):
    message = DirectMessageFactory(link=link)
    assert visit(links.token_of(message.comment_id)).status_code == 404


def test_nothing_in_the_request_changes_where_a_link_leads(token):
    answer = Client().get(f"/r/{token}?next=https://evil.example&ta=x", headers={"Host": "evil"})
    assert answer["Location"] == f"{SHOP}&ta={token}"


def test_a_line_break_in_a_link_makes_no_header():
    message = DirectMessageFactory(link="https://shop.example/\r\nSet-Cookie: a=b")
    answer = visit(links.token_of(message.comment_id))
    assert "\n" not in answer["Location"]
    assert not answer.cookies


def test_head_is_never_a_click(token):
    answer = visit(token, "HEAD")
    assert (answer.status_code, clicks.waiting()) == (302, 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"Purpose": "prefetch"},
        {"Sec_Purpose": "prefetch"},
        {"Sec_Purpose": "prefetch;prerender"},
        {"X_Purpose": "preview"},
        {"X_Moz": "prefetch"},
    ],
)
def test_a_program_that_looks_ahead_is_no_click(token, headers):
    answer = visit(token, **headers)
    assert (answer.status_code, clicks.waiting()) == (302, 0)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_a_link_can_only_be_followed(token, method):
    answer = visit(token, method)
    assert (answer.status_code, answer["Allow"], clicks.waiting()) == (405, "GET, HEAD", 0)


def test_a_link_that_was_followed_before_needs_no_database(token, django_assert_num_queries):
    with django_assert_num_queries(1):
        visit(token)
    with django_assert_num_queries(0):
        assert visit(token)["Location"].startswith(SHOP)
    assert clicks.waiting() == 2


def test_a_link_is_looked_at_again_after_a_minute(token):
    visit(token)
    DirectMessage.objects.update(link="https://shop.example/new")
    assert visit(token)["Location"].startswith(SHOP)
    redirect._targets.expire(redirect._targets.timer() + redirect.REMEMBERED_SECONDS + 1)
    assert visit(token)["Location"].startswith("https://shop.example/new")


def test_https_is_asked_for_as_everywhere_else(token, settings):
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = True, 3600
    answer = visit(token, client=Client())
    assert (answer.status_code, answer["Location"]) == (301, f"https://testserver/r/{token}")
    assert clicks.waiting() == 0
    secure = Client().get(f"/r/{token}", secure=True)
    assert (secure.status_code, secure["Strict-Transport-Security"]) == (302, "max-age=3600")


def test_no_session_is_touched(token, operator):
    client = Client()
    client.force_login(operator)
    with mock.patch("django.contrib.sessions.middleware.SessionMiddleware.process_request") as seen:
        assert visit(token, client=client).status_code == 302
    assert not seen.called


def test_without_redis_the_click_is_stored_at_once(message, token, settings):
    with no_redis():
        assert visit(token).status_code == 302
    assert Click.objects.get().message == message


def test_without_the_database_a_new_link_says_so_and_a_known_one_works(token):
    visit(token)
    other = DirectMessageFactory(link=SHOP)
    with no_database():
        assert visit(token).status_code == 302
        answer = visit(links.token_of(other.comment_id))
    assert answer.status_code == 503
    assert "try again in a minute" in answer.content.decode()


def test_without_redis_and_the_database_who_wants_to_buy_is_still_led_on(token):
    visit(token)
    with no_redis(), no_database():
        assert visit(token)["Location"].startswith(SHOP)


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_died_while_it_was_idle_costs_nobody_a_click(token):
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    kill_session(pid)
    assert visit(token).status_code == 302


def kill_session(pid: int) -> None:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    finally:
        other.close()


def no_redis():
    return mock.patch("dmtrigger.clicks.ask", return_value=None)


def no_database():
    return mock.patch.object(connection, "cursor", side_effect=InterfaceError("is away"))
