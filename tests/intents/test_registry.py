"""Models are registered, promoted, rolled back and tried; every worker follows by itself."""

import zipfile
from io import BytesIO

import pytest
from django.apps import apps
from django.apps.registry import Apps
from django.db import DatabaseError
from prometheus_client import REGISTRY

from intents import registry
from intents.classifier import Prediction
from intents.models import ModelVersion
from intents.registry import Refused
from tests.factories import UserFactory
from tests.intents.fake_models import folder_of, says

pytestmark = pytest.mark.django_db


@pytest.fixture
def user(db):
    return UserFactory(username="ann")


def roles() -> dict[str, str]:
    return dict(ModelVersion.objects.values_list("name", "role"))


def failures(role: str) -> float:
    return REGISTRY.get_sample_value("intent_model_failed_total", {"role": role}) or 0


def damage(version: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=version.pk).update(content=b"no zip")


# --- registering ---


def test_the_shipped_model_is_the_champion_of_a_new_installation(registered):
    shipped = ModelVersion.objects.get()
    assert (shipped.name, shipped.role, shipped.content) == ("shipped", "champion", None)
    assert shipped.promoted_at
    assert shipped.promoted_by is None


def test_a_new_release_brings_its_model_and_makes_it_the_champion(
    registered, monkeypatch, tmp_path
):
    monkeypatch.setattr(registry, "MODEL_DIR", folder_of("newer", tmp_path / "newer"))
    registry.register_shipped()
    registry.register_shipped()
    assert roles() == {"shipped": "retired", "newer": "champion"}


def test_a_release_does_not_replace_a_champion_that_was_trained_here(
    registered, user, monkeypatch, tmp_path
):
    registry.promote(registered("ours"), user)
    monkeypatch.setattr(registry, "MODEL_DIR", folder_of("newer", tmp_path / "newer"))
    registry.register_shipped()
    assert roles() == {"shipped": "retired", "ours": "champion", "newer": "retired"}


def test_where_the_table_is_not_there_yet_nothing_is_registered(registered):
    ModelVersion.objects.all().delete()
    registry.register_shipped(apps=Apps())
    assert not ModelVersion.objects.exists()
    registry.register_shipped(apps=apps)
    assert ModelVersion.objects.exists()


def test_a_trained_model_is_stored_with_its_files_and_card(registered):
    version = registered("ours", data={"examples": 3})
    assert version.card["data"] == {"examples": 3}
    assert zipfile.ZipFile(BytesIO(version.content)).namelist() == ["card.json"]
    assert version.role == "retired"


def test_a_version_is_registered_once(registered, tmp_path):
    registered("ours")
    with pytest.raises(Refused, match="another version"):
        registry.register(folder_of("ours", tmp_path / "again"))


def test_nothing_is_registered_as_champion(registered):
    with pytest.raises(Refused, match="then promote"):
        registered("ours", "champion")


# --- what answers ---


def test_workers_follow_a_promotion_and_a_roll_back_without_a_restart(registered, answers, user):
    answers["ours"] = says(7)
    ours = registered("ours")

    def score() -> int:
        return registry.active().champion.predict(["a"])[0].score

    assert score() == 90
    registry.promote(ours, user)
    assert score() == 7
    registry.roll_back(user)
    assert score() == 90


def test_what_is_loaded_stays_loaded_and_costs_one_query(registered, django_assert_num_queries):
    registered("ours", "challenger")
    first = registry.active()
    with django_assert_num_queries(1) as queries:
        second = registry.active()
    assert second == first
    assert second.challengers[0].classifier is first.challengers[0].classifier
    assert '"content"' not in queries.captured_queries[0]["sql"]


def test_what_is_not_active_any_more_is_let_go(registered):
    ours = registered("ours", "challenger")
    registry.active()
    registry.retire(ours)
    assert registry.active().challengers == []
    assert set(registry._loaded) == {"shipped"}


def test_challengers_come_with_their_share(registered):
    ours = registered("ours")
    registry.try_out(ours, 25)
    (challenger,) = registry.active().challengers
    assert (challenger.version_id, challenger.traffic_percent) == (ours.pk, 25)
    assert challenger.classifier.version == "ours"


def test_a_challenger_that_cannot_be_loaded_is_left_out_and_logged_once(
    registered, monkeypatch, caplog
):
    damage(registered("ours", "challenger"))
    before = failures("challenger")
    for _ in range(2):
        active = registry.active()
        assert active.challengers == []
        assert active.champion.version == "shipped"
        monkeypatch.setattr(registry, "RETRY_SECONDS", -1)
    assert failures("challenger") == before + 2
    assert caplog.text.count("model cannot be loaded") == 1


def test_without_its_champion_the_simple_classifier_answers(registered, user):
    ours = registered("ours")
    registry.promote(ours, user)
    damage(ours)
    before = failures("champion")
    assert registry.active().champion.version == "simple"
    assert failures("champion") == before + 1


def test_a_champion_that_failed_is_tried_again_after_a_minute(registered, user, monkeypatch):
    ours = registered("ours")
    registry.promote(ours, user)
    good = ModelVersion.objects.get(pk=ours.pk).content
    damage(ours)
    registry.active()
    ModelVersion.objects.filter(pk=ours.pk).update(content=good)
    assert registry.active().champion.version == "simple"
    monkeypatch.setattr(registry, "RETRY_SECONDS", -1)
    assert registry.active().champion.version == "ours"


def test_a_database_that_fails_is_no_fault_of_the_model(registered, monkeypatch):
    def away(_row):
        raise DatabaseError("away")

    monkeypatch.setattr(registry, "_load", away)
    with pytest.raises(DatabaseError):
        registry.active()
    assert not registry._failed_at


def test_during_a_release_workers_of_the_one_before_answer_with_their_model(
    registered, monkeypatch, tmp_path
):
    with monkeypatch.context() as release:
        release.setattr(registry, "MODEL_DIR", folder_of("newer", tmp_path / "newer"))
        registry.register_shipped()
    assert registry.active().champion.version == "shipped"


def test_without_any_model_it_says_what_to_do(registered):
    ModelVersion.objects.all().delete()
    with pytest.raises(registry.NoChampion, match=r"manage\.py migrate"):
        registry.active()


# --- promoting, trying, retiring ---


def test_who_promoted_what_is_on_record_and_the_former_champion_retires(registered, user):
    ours = registered("ours", "challenger")
    registry.try_out(ours, 50)
    registry.promote(ours, user)
    ours.refresh_from_db()
    assert (ours.role, ours.traffic_percent, ours.promoted_by) == ("champion", 0, user)
    assert roles()["shipped"] == "retired"


def test_a_champion_is_not_promoted_again(registered, user):
    with pytest.raises(Refused, match="champion already"):
        registry.promote(ModelVersion.objects.get(), user)


def test_a_model_that_does_not_load_is_not_promoted_nor_tried(registered, user):
    ours = registered("ours")
    damage(ours)
    for act in (lambda: registry.promote(ours, user), lambda: registry.try_out(ours, 0)):
        with pytest.raises(Refused, match="cannot be used"):
            act()
    assert roles() == {"shipped": "champion", "ours": "retired"}


@pytest.mark.parametrize(
    "answer", [says(1, hold="model_failed"), lambda _text: Prediction("other", 1, float("nan"))]
)
def test_a_model_that_answers_with_nan_is_not_promoted(registered, answers, user, answer):
    ours = registered("ours")
    answers["ours"] = answer
    with pytest.raises(Refused, match="no usable answers"):
        registry.promote(ours, user)


def test_a_model_of_an_earlier_release_cannot_be_promoted(registered, user, monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "MODEL_DIR", folder_of("newer", tmp_path / "newer"))
    registry.register_shipped()
    with pytest.raises(Refused, match="deploy the release"):
        registry.promote(ModelVersion.objects.get(name="shipped"), user)


def test_roll_back_goes_to_the_champion_before(registered, user):
    first, second = registered("first"), registered("second")
    registry.promote(first, user)
    registry.promote(second, user)
    assert registry.roll_back(user) == first
    assert registry.roll_back(user) == second


def test_the_first_champion_cannot_be_rolled_back(registered, user):
    registered("never")
    with pytest.raises(Refused, match="no other champion"):
        registry.roll_back(user)


def test_rolling_back_twice_by_the_same_button_goes_back_once(registered, user):
    registry.promote(registered("ours"), user)
    seen = ModelVersion.objects.get(name="shipped").pk
    registry.roll_back(user, seen)
    with pytest.raises(Refused, match="changed meanwhile"):
        registry.roll_back(user, seen)
    assert roles()["shipped"] == "champion"


def test_shares_add_up_to_a_hundred_at_most(registered):
    first, second = registered("first"), registered("second")
    registry.try_out(first, 60)
    with pytest.raises(Refused, match="40 % are left"):
        registry.try_out(second, 41)
    registry.try_out(second, 40)
    registry.try_out(first, 10)


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_share_is_a_percentage(registered, percent):
    with pytest.raises(Refused, match="0 to 100"):
        registry.try_out(registered("ours"), percent)


def test_the_champion_is_neither_tried_nor_retired(registered):
    champion = ModelVersion.objects.get()
    with pytest.raises(Refused, match="answers already"):
        registry.try_out(champion, 10)
    with pytest.raises(Refused, match="promote another"):
        registry.retire(champion)


def test_what_is_retired_has_no_share(registered):
    ours = registered("ours")
    registry.try_out(ours, 10)
    registry.retire(ours)
    ours.refresh_from_db()
    assert (ours.role, ours.traffic_percent) == ("retired", 0)
    with pytest.raises(Refused, match="retired already"):
        registry.retire(ours)


def test_a_version_that_is_gone_is_refused(registered, user):
    ours = registered("ours")
    ModelVersion.objects.filter(pk=ours.pk).delete()
    with pytest.raises(Refused, match="look at the list"):
        registry.retire(ours)
