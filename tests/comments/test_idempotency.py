"""A call with an `Idempotency-Key` is done once, however often it is sent."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from comments import idempotency, monitors
from comments.models import IdempotentCall, Monitor
from dmtrigger import people
from dmtrigger.models import DirectMessage, Person, Refusal
from tests.factories import CampaignFactory, MonitorFactory, ReviewFactory

pytestmark = pytest.mark.django_db
URL = "/comments/monitor"


@pytest.fixture
def api(api_of):
    return api_of("comments.add_monitor", "intents.decide_review")


def send(api, url: str = URL, key: str = "key-1", **body: Any) -> Any:
    return api.post(url, body, format="json", headers={"idempotency-key": key})


def test_the_same_call_again_gets_the_first_answer_and_does_nothing(api):
    first = send(api, post_id="p1")
    assert first.status_code == 201
    monitors.stop(Monitor.objects.get())
    again = send(api, post_id="p1")
    assert (again.status_code, again.content) == (201, first.content)
    assert Monitor.objects.get().status == "stopped"


def test_the_order_of_the_fields_makes_no_other_call(api):
    send(api, post_id="p1", interval_seconds=60)
    assert send(api, interval_seconds=60, post_id="p1").status_code == 201


def test_another_key_is_another_call(api):
    send(api, post_id="p1")
    monitors.stop(Monitor.objects.get())
    assert send(api, key="key-2", post_id="p1").status_code == 200
    assert Monitor.objects.get().status == "active"


def test_without_a_key_nothing_is_kept(api):
    assert api.post(URL, {"post_id": "p1"}, format="json").status_code == 201
    assert api.post(URL, {"post_id": "p1"}, format="json").status_code == 200
    assert not IdempotentCall.objects.exists()


def test_a_key_that_was_used_for_something_else_is_a_422(api):
    send(api, post_id="p1")
    review = ReviewFactory()
    for answer in (send(api, post_id="p2"), send(api, f"/reviews/{review.pk}/reject")):
        assert answer.status_code == 422
        assert answer.json()["title"] == "Unprocessable Entity"
    assert Monitor.objects.count() == 1
    review.refresh_from_db()
    assert review.status == "pending"


def test_a_key_belongs_to_its_user(api, api_of):
    send(api, post_id="p1")
    other = api_of("comments.add_monitor")
    assert send(other, post_id="p2").status_code == 201


def test_a_key_is_free_again_after_a_day(api):
    send(api, post_id="p1")
    IdempotentCall.objects.update(at=timezone.now() - timedelta(hours=24, seconds=1))
    for _ in range(2):
        assert send(api, post_id="p2").status_code == 201
    assert Monitor.objects.count() == 2


def test_what_is_over_its_time_is_dropped(api):
    send(api, post_id="p1")
    send(api, key="key-2", post_id="p2")
    old = IdempotentCall.objects.filter(key="key-1")
    old.update(at=timezone.now() - timedelta(hours=24, seconds=1))
    assert idempotency.drop_old() == 1
    assert IdempotentCall.objects.get().key == "key-2"


@pytest.mark.parametrize("key", ["", " ", "a b", "\u00fc", "x" * 256])
def test_a_key_that_is_none_is_named(api, key):
    answer = send(api, key=key, post_id="p1")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["Idempotency-Key"]
    assert not Monitor.objects.exists()


def test_a_refused_call_can_be_sent_again_when_it_is_mended(api):
    review = ReviewFactory()
    url = f"/reviews/{review.pk}/approve"
    assert send(api, url).status_code == 409
    CampaignFactory()
    assert send(api, url).status_code == 200
    assert DirectMessage.objects.count() == 1


def test_what_is_kept_of_a_refusal_stays(api):
    CampaignFactory()
    review = ReviewFactory()
    people.opt_out("fake_platform", "ada", Person.By.REPLY)
    assert send(api, f"/reviews/{review.pk}/approve").status_code == 409
    assert Refusal.objects.get().rule == "opted_out"


def test_a_late_repetition_does_not_approve_again_what_was_undone(api):
    CampaignFactory()
    review = ReviewFactory()
    url = f"/reviews/{review.pk}/approve"
    first = send(api, url)
    message = DirectMessage.objects.get()
    assert send(api, f"/messages/{message.pk}/undo", key="key-2").status_code == 200
    assert send(api, url).content == first.content
    review.refresh_from_db()
    assert review.status == "pending"


def test_who_may_not_do_it_any_more_gets_no_answer_either(api, api_of):
    send(api, post_id="p1")
    user = IdempotentCall.objects.get().user
    user.user_permissions.clear()
    api.force_authenticate(type(user).objects.get(pk=user.pk))
    assert send(api, post_id="p1").status_code == 403


def test_an_answer_that_cannot_be_kept_undoes_the_call(api, monkeypatch):
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("comments.idempotency._keep", fail)
    with pytest.raises(ZeroDivisionError):
        send(api, post_id="p1")
    assert not Monitor.objects.exists()
    monkeypatch.undo()
    assert send(api, post_id="p1").status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_call_that_is_being_done_is_a_409(api, monkeypatch):
    begun, over = Event(), Event()

    def slowly(**said: Any) -> Any:
        begun.set()
        over.wait(10)
        return MonitorFactory(post_id=said["post_id"]), True

    def call() -> Any:
        try:
            return send(api, post_id="p1")
        finally:
            connection.close()

    monkeypatch.setattr("comments.monitors.start", slowly)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call)
        assert begun.wait(10)
        meanwhile = send(api, post_id="p1")
        over.set()
        done = first.result()
    assert (meanwhile.status_code, meanwhile.headers["Retry-After"]) == (409, "1")
    assert done.status_code == 201
    assert send(api, post_id="p1").content == done.content
    assert Monitor.objects.count() == 1
