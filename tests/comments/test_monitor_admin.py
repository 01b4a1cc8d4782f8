"""Monitors in the admin: add one, change its interval, start and stop."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.utils import timezone

from comments import monitors
from comments.models import Monitor
from tests.factories import MonitorFactory

pytestmark = pytest.mark.django_db
LIST = "/admin/comments/monitor/"


def page_of(monitor: Monitor) -> str:
    return f"{LIST}{monitor.pk}/change/"


def act(client, action: str, *ticked: Monitor) -> str:
    form = {"action": action, "_selected_action": [monitor.pk for monitor in ticked]}
    return client.post(LIST, form, follow=True).content.decode()


def test_a_post_is_added_with_its_source_and_interval(admin_client):
    html = admin_client.get(f"{LIST}add/").content.decode()
    assert 'value="fake_platform"' in html
    assert 'name="status"' not in html
    form = {"source": "fake_platform", "post_id": "p1", "interval_seconds": 300}
    admin_client.post(f"{LIST}add/", form)
    monitor = Monitor.objects.get()
    assert (monitor.post_id, monitor.interval_seconds, monitor.status) == ("p1", 300, "active")
    assert monitors.claim_due() == monitor


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"source": "x"}, "there are: fake_platform"),
        ({"interval_seconds": 4}, "greater than or equal to 5"),
        ({"post_id": "watched"}, "already exists"),
    ],
)
def test_what_cannot_be_watched_is_refused(admin_client, wrong, message):
    MonitorFactory(post_id="watched")
    form = {"source": "fake_platform", "post_id": "p1", "interval_seconds": 60} | wrong
    answer = admin_client.post(f"{LIST}add/", form)
    assert message in answer.content.decode()
    assert Monitor.objects.count() == 1


def test_only_the_interval_can_be_edited(admin_client):
    monitor = MonitorFactory(post_id="p1", error_count=1, last_error="<b>broken</b>")
    html = admin_client.get(page_of(monitor)).content.decode()
    assert monitor.task_id in html
    assert "&lt;b&gt;broken" in html
    assert 'name="interval_seconds"' in html
    for polled in ("post_id", "source", "status", "cursor", "task_id", "error_count"):
        assert f'name="{polled}"' not in html


def test_what_a_poll_has_written_meanwhile_is_kept(admin_client, monkeypatch):
    monitor = MonitorFactory(post_id="p1", next_poll_at=timezone.now())

    def moved_on(given: Monitor, seconds: int) -> None:
        Monitor.objects.update(cursor="moved on", comments_processed=7)
        set_interval(given, seconds)

    set_interval = monitors.set_interval
    monkeypatch.setattr(monitors, "set_interval", moved_on)
    admin_client.post(page_of(monitor), {"interval_seconds": 5, "post_id": "p2", "cursor": "x"})
    monitor.refresh_from_db()
    assert (monitor.post_id, monitor.cursor, monitor.comments_processed) == ("p1", "moved on", 7)
    assert monitor.interval_seconds == 5


def test_monitors_are_stopped_and_started_from_the_list(admin_client):
    first, second = MonitorFactory(post_id="p1"), MonitorFactory(post_id="p2", status="degraded")
    assert "Stopped: 2" in act(admin_client, "stop_selected", first, second)
    assert "Stopped: 0" in act(admin_client, "stop_selected", first)
    assert monitors.claim_due() is None
    assert "Started: 1" in act(admin_client, "start_selected", second)
    assert monitors.claim_due() == second
    said = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
    assert list(said) == ["Stopped", "Stopped", "Started"]


def test_who_may_only_look_can_neither_start_nor_stop(client, operator):
    monitor = MonitorFactory()
    client.force_login(operator)
    html = client.get(LIST).content.decode()
    assert monitor.task_id in html
    assert "stop_selected" not in html
    act(client, "stop_selected", monitor)
    monitor.refresh_from_db()
    assert monitor.status == "active"
    operator.user_permissions.add(Permission.objects.get(codename="change_monitor"))
    assert "Stopped: 1" in act(client, "stop_selected", monitor)
