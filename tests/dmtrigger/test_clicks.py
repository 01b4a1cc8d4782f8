"""No click is lost and none is stored twice, wherever the process ends; programs are no people."""

from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
from django.db import OperationalError, connection
from django_redis import get_redis_connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from comments import redis
from dmtrigger import clicks, tasks
from dmtrigger.models import Click, DirectMessage
from tests.factories import DirectMessageFactory

pytestmark = pytest.mark.django_db

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
PEOPLE = [
    BROWSER,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
    " Gecko) Mobile/15E148 Instagram 312.0.0.32.118 (iPhone13,2; iOS 17_4; en_US; scale=3.00)",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A; wv) AppleWebKit/537.36 (KHTML, like"
    " Gecko) Version/4.0 Chrome/122.0.6261.119 Mobile Safari/537.36 Instagram 321.0.0.39 Android",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
    " Gecko) Mobile/15E148 Barcelona 322.0.0.22.109 (iPhone14,5; iOS 17_4)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
    " Gecko) Mobile/20A362 [FBAN/FBIOS;FBAV/384.0;FBBV/1]",
]
PROGRAMS = [
    "",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko)"
    " Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    "WhatsApp/2.23.20.0",
    "TelegramBot (like TwitterBot)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "meta-externalagent/1.1",
    "curl/8.0",
    "python-requests/2.31",
]


@pytest.fixture
def message() -> DirectMessage:
    return DirectMessageFactory()


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_a_browser_is_a_person(user_agent):
    assert not clicks.is_bot(user_agent)


@pytest.mark.parametrize("user_agent", PROGRAMS)
def test_a_preview_a_crawler_and_whoever_says_nothing_is_none(user_agent):
    assert clicks.is_bot(user_agent)


def test_noted_clicks_are_stored_each_once_and_then_gone(message):
    for _ in range(3):
        clicks.note(message.pk, BROWSER)
    assert tasks.store_clicks() == 3
    assert (Click.objects.filter(message=message).count(), clicks.waiting()) == (3, 0)
    assert tasks.store_clicks() == 0


def test_more_than_a_batch_is_stored_in_one_run(message, monkeypatch):
    monkeypatch.setattr(clicks, "BATCH", 3)
    for _ in range(8):
        clicks.note(message.pk, BROWSER)
    assert clicks.store_noted() == 8
    assert (Click.objects.count(), clicks.waiting()) == (8, 0)


def test_killed_after_reading_nothing_is_lost(message):
    clicks.note(message.pk, BROWSER)
    with (
        mock.patch.object(clicks, "_store", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        clicks.store_noted()
    assert clicks.store_noted() == 1
    assert Click.objects.count() == 1


def test_killed_after_storing_nothing_is_stored_twice(message):
    clicks.note(message.pk, BROWSER)
    with (
        mock.patch.object(clicks, "_take_away", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        clicks.store_noted()
    assert (Click.objects.count(), clicks.waiting()) == (1, 1)
    assert clicks.store_noted() == 1
    assert (Click.objects.count(), clicks.waiting()) == (1, 0)


def test_killed_halfway_through_taking_away_the_rest_is_taken_later(message, monkeypatch):
    for _ in range(4):
        clicks.note(message.pk, BROWSER)
    take_away = clicks._take_away

    def half(contents, client):
        take_away(contents[:2], client)
        raise KeyboardInterrupt

    monkeypatch.setattr(clicks, "_take_away", half)
    with pytest.raises(KeyboardInterrupt):
        clicks.store_noted()
    monkeypatch.setattr(clicks, "_take_away", take_away)
    assert clicks.waiting() == 2
    clicks.store_noted()
    assert (Click.objects.count(), clicks.waiting()) == (4, 0)


def test_a_click_that_comes_while_others_are_stored_stays(message, monkeypatch):
    clicks.note(message.pk, BROWSER)
    store = clicks._store
    came: list[int] = []

    def slowly(noted):
        store(noted)
        if not came:
            came.append(1)
            clicks.note(message.pk, BROWSER)

    monkeypatch.setattr(clicks, "_store", slowly)
    clicks.store_noted()
    assert (Click.objects.count(), clicks.waiting()) == (2, 0)


@pytest.mark.django_db(transaction=True)
def test_four_tasks_at_once_lose_none_and_store_none_twice(message, monkeypatch):
    monkeypatch.setattr(clicks, "BATCH", 7)
    for _ in range(100):
        clicks.note(message.pk, BROWSER)

    def run(_number):
        try:
            return clicks.store_noted()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert (Click.objects.count(), clicks.waiting()) == (100, 0)


def test_redis_that_took_a_click_and_did_not_say_so_counts_it_once(message, monkeypatch):
    client = get_redis_connection("default")

    def took_it(*_args):
        lpush(*_args)
        raise RedisTimeoutError

    lpush = client.lpush
    monkeypatch.setattr(type(client), "lpush", lambda self, *args: took_it(*args))
    clicks.note(message.pk, BROWSER)
    monkeypatch.undo()
    redis.breaker.reset()
    assert (Click.objects.count(), clicks.waiting()) == (1, 1)
    clicks.store_noted()
    assert (Click.objects.count(), clicks.waiting()) == (1, 0)


def test_redis_going_away_before_the_taking_away_ends_the_run(message, monkeypatch):
    clicks.note(message.pk, BROWSER)
    gone = mock.Mock(side_effect=RedisConnectionError)
    with mock.patch.object(clicks, "_take_away", gone):
        assert clicks.store_noted() == 0
    redis.breaker.reset()
    assert clicks.store_noted() == 1
    assert Click.objects.count() == 1


def test_without_the_database_clicks_wait_in_redis(message):
    clicks.note(message.pk, BROWSER)
    with (
        mock.patch.object(Click.objects, "bulk_create", side_effect=OperationalError),
        pytest.raises(OperationalError),
    ):
        clicks.store_noted()
    assert clicks.waiting() == 1


def test_the_click_of_a_message_that_was_erased_holds_up_no_other(message):
    clicks.note(message.pk + 1_000, BROWSER)
    clicks.note(message.pk, BROWSER)
    clicks.store_noted()
    assert ([click.message for click in Click.objects.all()], clicks.waiting()) == ([message], 0)


def test_what_cannot_be_read_holds_up_no_other_and_is_said(message, caplog):
    get_redis_connection("default").lpush(clicks._key(), b"no click")
    clicks.note(message.pk, BROWSER)
    clicks.store_noted()
    assert (Click.objects.count(), clicks.waiting()) == (1, 0)
    assert "cannot be read" in caplog.text


def test_a_strange_user_agent_is_cut_and_stored(message):
    clicks.note(message.pk, "a\x00b" + "\ud800" + "x" * 5_000)
    clicks.store_noted()
    assert Click.objects.get().user_agent.startswith("ab?xxx")
    assert len(Click.objects.get().user_agent) == clicks.MAX_USER_AGENT
