"""`/comments/monitor` over HTTP: watch a post, look how it goes, stop."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from comments.models import Monitor
from comments.monitors import claim_due
from comments.polling import poll_monitors
from tests.factories import MonitorFactory

pytestmark = pytest.mark.django_db
URL = "/comments/monitor"


@pytest.fixture
def api(api_of):
    return api_of("comments.view_monitor", "comments.add_monitor", "comments.change_monitor")


def start(api, **body: Any) -> Any:
    return api.post(URL, body, format="json")


def test_a_new_monitor_is_active_and_due(api):
    answer = start(api, post_id="p1")
    assert answer.status_code == 201
    body = answer.json()
    assert re.fullmatch("monitor_[0-9a-f]{8}", body.pop("task_id"))
    assert datetime.fromisoformat(body.pop("next_poll_at")) <= timezone.now()
    assert datetime.fromisoformat(body.pop("created_at")) <= timezone.now()
    assert body == {
        "status": "active",
        "source": "fake_platform",
        "post_id": "p1",
        "account": "",
        "interval_seconds": 60,
        "is_polling": False,
        "comments_processed": 0,
        "last_processed": None,
        "error_count": 0,
        "last_error": "",
    }


def test_the_same_post_again_is_the_same_monitor(api):
    first = start(api, post_id="p1").json()
    again = start(api, post_id="p1", source="fake_platform", interval_seconds=5)
    assert again.status_code == 200
    assert again.json() == first | {"interval_seconds": 5}
    assert start(api, post_id="p1").json()["interval_seconds"] == 5


def test_a_stopped_monitor_is_started_again_as_it_was(api, fake_platform):
    task_id = start(api, post_id="p1").json()["task_id"]
    fake_platform.store.add_comment("p1", text="price?", author="ada")
    poll_monitors()
    cursor = Monitor.objects.get().cursor
    api.delete(f"{URL}/{task_id}")
    answer = start(api, post_id="p1")
    assert (answer.status_code, answer.json()["task_id"]) == (200, task_id)
    assert (answer.json()["status"], answer.json()["comments_processed"]) == ("active", 1)
    assert Monitor.objects.get().cursor == cursor != ""


@pytest.mark.parametrize(
    ("wrong", "field", "message"),
    [
        ({"post_id": None}, "post_id", "may not be null"),
        ({"post_id": " "}, "post_id", "must not be empty"),
        ({"post_id": 5}, "post_id", "must be text"),
        ({"post_id": "p" * 101}, "post_id", "has 101 characters"),
        ({"post_id": "a\x00"}, "post_id", "NUL"),
        ({"source": "myspace"}, "source", "there are: fake_platform"),
        ({"interval_seconds": 4}, "interval_seconds", "greater than or equal to 5"),
        ({"interval_seconds": 86_401}, "interval_seconds", "less than or equal to 86400"),
        ({"interval_seconds": "soon"}, "interval_seconds", "valid integer"),
    ],
)
def test_what_cannot_be_watched_is_named(api, wrong, field, message):
    answer = start(api, **{"post_id": "p1"} | wrong)
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["field"], message in error["reason"]) == (field, True)
    assert not Monitor.objects.exists()


@pytest.mark.parametrize("raw", ["{}", "[]", '"p1"', "{"])
def test_a_body_without_a_post_is_a_400(api, raw):
    assert api.post(URL, raw, content_type="application/json").status_code == 400


def test_one_monitor_says_how_it_goes(api, fake_platform):
    monitor = MonitorFactory(post_id="p1", interval_seconds=300)
    fake_platform.store.add_comment("p1", text="price?", author="ada")
    poll_monitors()
    body = api.get(f"{URL}/{monitor.task_id}").json()
    assert (body["post_id"], body["comments_processed"], body["error_count"]) == ("p1", 1, 0)
    polled = datetime.fromisoformat(body["last_processed"])
    next_poll = datetime.fromisoformat(body["next_poll_at"])
    assert timedelta(seconds=300) <= next_poll - polled < timedelta(seconds=305)


def test_one_that_fails_says_why(api):
    monitor = MonitorFactory(post_id="p1")
    poll_monitors()  # nobody is at the platform's address
    body = api.get(f"{URL}/{monitor.task_id}").json()
    assert (body["status"], body["error_count"]) == ("active", 1)
    assert "ConnectError" in body["last_error"]


def test_one_that_is_being_polled_says_so_until_the_lease_ends(api):
    monitor = MonitorFactory()
    claim_due()
    assert api.get(f"{URL}/{monitor.task_id}").json()["is_polling"]
    Monitor.objects.update(leased_until=timezone.now())
    assert not api.get(f"{URL}/{monitor.task_id}").json()["is_polling"]


def test_the_list_is_newest_first_and_in_pages(api):
    for n in range(3):
        MonitorFactory(post_id=f"p{n}")
    page = api.get(URL, {"limit": 2}).json()
    assert [monitor["post_id"] for monitor in page["results"]] == ["p2", "p1"]
    rest = api.get(page["next"]).json()
    assert [monitor["post_id"] for monitor in rest["results"]] == ["p0"]


def test_stopping_answers_with_the_stopped_monitor_however_often(api):
    monitor = MonitorFactory()
    for _ in range(2):
        answer = api.delete(f"{URL}/{monitor.task_id}")
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["next_poll_at"]) == ("stopped", None)
    assert api.get(f"{URL}/{monitor.task_id}").json() == answer.json()


@pytest.mark.parametrize("task_id", ["monitor_00000000", "monitor_", "1", "a b", "%00"])
@pytest.mark.parametrize("method", ["get", "delete"])
def test_an_unknown_task_is_a_404(api, task_id, method):
    assert getattr(api, method)(f"{URL}/{task_id}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "permission", "status"),
    [
        ("get", "", "view_monitor", 200),
        ("get", "/{}", "view_monitor", 200),
        ("post", "", "add_monitor", 201),
        ("delete", "/{}", "change_monitor", 200),
    ],
)
def test_each_call_needs_its_own_permission(api_of, method, path, permission, status):
    monitor = MonitorFactory(post_id="p1")
    url = f"{URL}{path.format(monitor.task_id)}"
    rights = {f"comments.{verb}_monitor" for verb in ("view", "add", "change", "delete")}
    rights.add("comments.add_comment")
    needed = f"comments.{permission}"
    for user, expected in ((api_of(*rights - {needed}), 403), (api_of(needed), status)):
        answer = getattr(user, method)(url, {"post_id": "p2"}, format="json")
        assert answer.status_code == expected


def test_a_comments_own_page_is_not_in_the_way(api_of):
    reader = api_of("comments.view_comment")
    assert reader.get(URL).status_code == 403
    assert reader.get("/comments/monitors").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_calls_at_the_same_moment_make_one_monitor(api):
    def call(_: int) -> tuple[int, str]:
        try:
            answer = start(api, post_id="p1")
            return answer.status_code, answer.json()["task_id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(16)))
    assert sorted(status for status, _ in answers) == [200] * 15 + [201]
    assert {task_id for _, task_id in answers} == {Monitor.objects.get().task_id}
