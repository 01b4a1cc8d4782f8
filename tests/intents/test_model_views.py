"""Models over HTTP: what is shown, what may be done, and that it is on record."""

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dmtrigger.models import AuditEntry
from intents import registry
from intents.models import ModelVersion

METRICS = {
    "examples": 1200,
    "average_precision": 0.834,
    "automatic": {"precision": 0.941},
    "calibration": {"expected_error": 0.031},
}


@pytest.fixture
def api(api_of):
    return api_of("intents.view_modelversion", "intents.promote_model")


def state(version: ModelVersion) -> tuple[str, int]:
    version.refresh_from_db()
    return version.role, version.traffic_percent


def on_record() -> list[str]:
    return [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]


def test_a_version_is_shown_with_its_role_share_and_figures(api, registered):
    version = registered("ours", metrics=METRICS)
    registry.try_out(version, 25)
    body = api.get(f"/models/{version.pk}").json()
    assert (body["name"], body["role"], body["traffic_percent"]) == ("ours", "challenger", 25)
    assert body["figures"] == {
        "average_precision": 0.834,
        "automatic_precision": 0.941,
        "calibration_error": 0.031,
        "examples": 1200,
    }
    assert (body["promoted_at"], body["promoted_by"]) == (None, None)


def test_the_newest_version_comes_first_and_no_files_are_read(api, registered):
    registered("ours")
    with CaptureQueriesContext(connection) as queries:
        results = api.get("/models").json()["results"]
    assert [result["name"] for result in results] == ["ours", "shipped"]
    assert not any('"content"' in query["sql"] for query in queries)


def test_what_a_card_does_not_say_is_null(api, registered):
    body = api.get(f"/models/{registered('ours').pk}").json()
    assert set(body["figures"].values()) == {None}


def test_a_promotion_says_by_whom_and_is_in_the_history_and_the_audit_log(api, registered):
    version = registered("ours")
    body = api.post(f"/models/{version.pk}/promote").json()
    assert body["role"] == "champion"
    assert body["promoted_at"]
    assert body["promoted_by"].startswith("user")
    assert ModelVersion.objects.get(name="shipped").role == "retired"
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action) == (body["promoted_by"], "promote model")
    assert on_record() == ["Promoted"]


def test_a_model_is_tried_and_retired(api, registered):
    version = registered("ours")
    assert api.post(f"/models/{version.pk}/shadow").json()["role"] == "challenger"
    assert state(version) == ("challenger", 0)
    answer = api.post(f"/models/{version.pk}/share", {"percent": 30}, format="json")
    assert answer.json()["traffic_percent"] == 30
    assert state(version) == ("challenger", 30)
    assert api.post(f"/models/{version.pk}/retire").json()["role"] == "retired"
    assert state(version) == ("retired", 0)
    assert on_record() == ["In shadow", "Answers 30 %", "Retired"]


@pytest.mark.parametrize("said", [{}, {"percent": 0}, {"percent": 101}, {"percent": "much"}])
def test_a_share_that_is_none_names_the_field(api, registered, said):
    version = registered("ours")
    answer = api.post(f"/models/{version.pk}/share", said, format="json")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["percent"]
    assert state(version) == ("retired", 0)


def test_more_than_is_left_is_a_conflict(api, registered):
    registry.try_out(registered("theirs"), 80)
    version = registered("ours")
    answer = api.post(f"/models/{version.pk}/share", {"percent": 30}, format="json")
    assert answer.status_code == 409
    assert "20 % are left" in answer.json()["detail"]
    assert state(version) == ("retired", 0)


@pytest.mark.parametrize("act", ["promote", "shadow", "retire"])
def test_what_makes_no_sense_for_the_champion_is_a_conflict_and_not_on_record(api, registered, act):
    champion = ModelVersion.objects.get()
    answer = api.post(f"/models/{champion.pk}/{act}")
    assert answer.status_code == 409
    assert "is the champion" in answer.json()["detail"]
    assert state(champion) == ("champion", 0)
    assert on_record() == []


def test_a_model_that_cannot_be_used_is_not_promoted(api, registered):
    version = registered("ours")
    ModelVersion.objects.filter(pk=version.pk).update(content=b"no zip")
    answer = api.post(f"/models/{version.pk}/promote")
    assert answer.status_code == 409
    assert "cannot be used" in answer.json()["detail"]
    assert state(version) == ("retired", 0)


def test_a_promotion_that_is_sent_again_undoes_nothing_that_came_after_it(api, registered):
    version, key = registered("ours"), {"Idempotency-Key": "1"}
    first = api.post(f"/models/{version.pk}/promote", headers=key)
    shipped = ModelVersion.objects.get(name="shipped")
    api.post(f"/models/{shipped.pk}/promote")
    again = api.post(f"/models/{version.pk}/promote", headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert state(shipped) == ("champion", 0)


def test_who_may_only_look_changes_nothing(api_of, registered):
    version = registered("ours")
    looks = api_of("intents.view_modelversion")
    assert looks.get(f"/models/{version.pk}").status_code == 200
    for act in ("promote", "shadow", "share", "retire"):
        assert looks.post(f"/models/{version.pk}/{act}").status_code == 403
    assert state(version) == ("retired", 0)
