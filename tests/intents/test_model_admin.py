"""The models' pages: what is shown, who may change what, and that it is on record."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from intents import registry
from intents.models import ModelVersion, ShadowPrediction
from tests.factories import IntentResultFactory, UserFactory
from threadsagent.roles import MODEL_ADMINISTRATORS

pytestmark = pytest.mark.django_db
LIST = "/admin/intents/modelversion/"
COMPARE = f"{LIST}compare/"
METRICS = {
    "examples": 1200,
    "average_precision": 0.834,
    "automatic": {"precision": 0.941},
    "calibration": {"expected_error": 0.031},
}


@pytest.fixture
def ann(client, db):
    """A model administrator, logged in."""
    user = UserFactory(username="ann", is_staff=True)
    user.groups.add(Group.objects.get(name=MODEL_ADMINISTRATORS))
    client.force_login(user)
    return user


def act(client, action: str, *ticked: ModelVersion, **more: str) -> str:
    form = {"action": action, "_selected_action": [v.pk for v in ticked], **more}
    return client.post(LIST, form, follow=True).content.decode()


def state(version: ModelVersion) -> tuple[str, int]:
    version.refresh_from_db()
    return version.role, version.traffic_percent


def test_the_list_shows_roles_shares_and_key_figures(client, ann, registered):
    registry.try_out(registered("ours", metrics=METRICS), 25)
    html = client.get(LIST).content.decode()
    for shown in ("ours", "challenger, 25 %", "0.83", "0.94", "0.03", "1,200", "by a release"):
        assert shown in html


def test_the_list_never_reads_the_models_files(client, ann, registered):
    registered("ours")
    with CaptureQueriesContext(connection) as queries:
        client.get(LIST)
        client.get(COMPARE)
    assert not any('"content"' in query["sql"] for query in queries)


def test_nothing_is_added_edited_or_deleted(client, ann, registered):
    version = registered("ours")
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{LIST}{version.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{LIST}{version.pk}/change/", {"name": "other"}).status_code == 403
    assert "delete_selected" not in client.get(LIST).content.decode()


def test_promoting_is_done_and_on_record(client, ann, registered):
    ours = registered("ours")
    assert "Promoted: ours" in act(client, "promote_selected", ours)
    assert state(ours) == ("champion", 0)
    assert ours.promoted_by == ann
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (ann, str(ours.pk))
    assert entry.get_change_message() == "Promoted"


def test_a_model_is_tried_in_shadow_and_retired(client, ann, registered):
    ours = registered("ours")
    act(client, "shadow_selected", ours)
    assert state(ours) == ("challenger", 0)
    act(client, "retire_selected", ours)
    assert state(ours) == ("retired", 0)
    assert LogEntry.objects.count() == 2


def test_the_share_is_asked_for_first_and_is_ten_unless_chosen(client, ann, registered):
    ours = registered("ours")
    page = act(client, "share_selected", ours)
    assert '<option value="10" selected>' in page
    assert state(ours) == ("retired", 0)
    assert "Answers 25 %: ours" in act(client, "share_selected", ours, percent="25")
    assert state(ours) == ("challenger", 25)


@pytest.mark.parametrize("percent", ["", "7", "x"])
def test_a_share_that_was_not_offered_is_asked_for_again(client, ann, registered, percent):
    ours = registered("ours")
    assert "It answers" in act(client, "share_selected", ours, percent=percent)
    assert state(ours) == ("retired", 0)


@pytest.mark.parametrize("action", ["promote_selected", "share_selected", "retire_selected"])
def test_one_model_at_a_time(client, ann, registered, action):
    versions = [registered("first"), registered("second")]
    assert "tick one model" in act(client, action, *versions)
    assert not LogEntry.objects.exists()


def test_what_is_refused_says_why_and_is_not_on_record(client, ann, registered):
    champion = ModelVersion.objects.get()
    assert "promote another one" in act(client, "retire_selected", champion)
    assert not LogEntry.objects.exists()


def test_the_button_rolls_back_to_the_version_that_it_names(client, ann, registered):
    registry.promote(registered("ours"), ann)
    page = client.get(LIST)
    assert "Roll back to shipped" in page.content.decode()
    seen = page.context["former"].pk
    html = client.post(f"{LIST}roll-back/", {"seen": seen}, follow=True).content.decode()
    assert "Rolled back to shipped." in html
    assert ModelVersion.objects.get(role="champion").name == "shipped"
    assert LogEntry.objects.get().get_change_message() == "Rolled back to it"
    html = client.post(f"{LIST}roll-back/", {"seen": seen}, follow=True).content.decode()
    assert "changed meanwhile" in html


def test_there_is_no_button_before_the_second_champion(client, ann, registered):
    assert "Roll back" not in client.get(LIST).content.decode()


def test_looking_changes_nothing(client, ann, registered):
    assert client.get(f"{LIST}roll-back/").status_code == 405
    assert client.post(COMPARE).status_code == 405


def test_who_may_only_look_changes_nothing(client, registered, operator):
    ours = registered("ours")
    registry.promote(registered("other"), operator)
    client.force_login(operator)
    assert client.get(LIST).status_code == 403
    assert client.get(COMPARE).status_code == 403
    assert client.get(f"{COMPARE}scores.svg").status_code == 403
    assert client.post(f"{LIST}roll-back/", {"seen": 1}).status_code == 403
    group = Group.objects.get(name=MODEL_ADMINISTRATORS)
    operator.user_permissions.add(group.permissions.get(codename="view_modelversion"))
    assert "Roll back" not in client.get(LIST).content.decode()
    assert client.get(COMPARE).status_code == 200
    act(client, "promote_selected", ours)
    assert client.post(f"{LIST}roll-back/", {"seen": 1}).status_code == 403
    assert state(ours) == ("retired", 0)


def test_a_models_page_shows_its_card(client, ann, registered):
    version = registered("ours", metrics=METRICS, data={"note": "<b>bold</b>"})
    html = client.get(f"{LIST}{version.pk}/change/").content.decode()
    assert "Metrics: Automatic" in html
    assert "0.941" in html
    assert "&lt;b&gt;bold" in html
    assert client.get(f"{LIST}0/change/").status_code == 302


def test_models_stand_side_by_side_with_their_pictures(client, ann, registered):
    ours = registered("ours", "challenger")
    for result in IntentResultFactory.create_batch(40, model_version="shipped", score=70):
        ShadowPrediction.objects.create(
            comment_id=result.pk, version=ours, label="purchase_intent", score=80
        )
    page = client.get(COMPARE)
    html = page.content.decode()
    assert [str(figures.version) for figures in page.context["compared"]] == ["shipped", "ours"]
    assert "too few decisions" in html
    assert "Only flagged comments are decided" in html
    assert f'href="{LIST}{ours.pk}/change/"' in html
    assert "?model_version=ours" in html
    assert html.count("<img ") == 3
    assert " style=" not in html
    for name in ("calibration", "precision_recall", "scores"):
        picture = client.get(f"{COMPARE}{name}.svg?{page.context['chosen']}")
        assert picture["Content-Type"] == "image/svg+xml"
        assert b"<!-- ours -->" in picture.content or name != "scores"


def test_the_linked_answers_are_those_of_the_model(client, registered, admin_user):
    client.force_login(admin_user)
    IntentResultFactory(model_version="shipped")
    IntentResultFactory(model_version="ours")
    rows = client.get("/admin/intents/intentresult/?model_version=ours").context["cl"].queryset
    assert [row.model_version for row in rows] == ["ours"]


def test_what_is_compared_can_be_chosen(client, ann, registered):
    ours = registered("ours")
    page = client.get(COMPARE, {"days": 30, "version": ours.pk})
    assert [figures.version for figures in page.context["compared"]] == [ours]


@pytest.mark.parametrize("query", [{"days": 3}, {"days": 7, "version": 0}, {"version": "x"}])
def test_a_choice_that_there_is_not_is_refused(client, ann, registered, query):
    page = client.get(COMPARE, query)
    assert page.status_code == 200
    assert page.context["form"].errors
    assert not page.context["compared"]


def test_no_more_are_compared_than_can_be_told_apart(client, ann, registered):
    versions = [registered(f"model {n}").pk for n in range(7)]
    page = client.get(COMPARE, {"days": 7, "version": versions})
    assert "at most 6" in page.content.decode()


def test_there_are_only_these_pictures(client, ann, registered):
    assert client.get(f"{COMPARE}_svg.svg").status_code == 404
