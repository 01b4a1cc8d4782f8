"""Analysis claims what waits, answers each comment once, and flags who wants to buy."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, transaction
from prometheus_client import REGISTRY

from comments.models import Comment
from intents import registry
from intents.analysis import analyze_batch, band_of
from intents.classifier import LABELS, Prediction
from intents.models import IntentResult, Label, ModelVersion, Review, ShadowPrediction
from tests.factories import CommentFactory
from tests.intents.fakes import BUYER, FAN, FakeModel, active

ASKS = "Where can I buy this? How much is shipping to Norway?"
OWNS = "Bought it last week, love it so much!"


@pytest.mark.parametrize(
    ("score", "band"),
    [
        (100, "immediate_dm"),
        (80, "immediate_dm"),
        (79, "nurture"),
        (60, "nurture"),
        (59, "monitor"),
        (40, "monitor"),
        (39, "ignore"),
        (0, "ignore"),
    ],
)
def test_the_bands_begin_at_80_60_and_40(score, band):
    assert band_of(score) == band


def test_the_model_and_the_table_know_the_same_labels():
    assert set(LABELS) == set(Label.values)


@pytest.mark.django_db
def test_the_shipped_model_tells_who_wants_to_buy():
    buyer, _fan = CommentFactory(text=ASKS), CommentFactory(text=OWNS)
    assert analyze_batch() == 2
    review = Review.objects.get()
    assert review.intent.comment == buyer
    assert review.intent.model_version == ModelVersion.objects.get(role="champion").name


@pytest.mark.django_db
def test_a_waiting_comment_gets_its_result(model, settings):
    settings.BRAND_NAMES = ["Acme"]
    evidence = {"words": [["buy", 0.4]], "nearest": [["price?", "purchase_intent", 0.9]]}
    model.answer = lambda _: BUYER._replace(language="en", evidence=evidence)
    comment = CommentFactory(text="I love this @acme, where can I buy it?")
    assert analyze_batch() == 1
    result = IntentResult.objects.get(comment=comment)
    assert (result.label, result.score, result.confidence) == BUYER[:3]
    assert (result.band, result.model_version) == ("immediate_dm", "fake")
    assert (result.hold, result.language, result.evidence) == ("", "en", evidence)
    assert (result.sentiment, result.mentions_brand) == ("positive", True)
    comment.refresh_from_db()
    assert comment.analyzed_at is not None


@pytest.mark.django_db
def test_a_comment_is_analysed_once(model):
    CommentFactory()
    assert [analyze_batch(), analyze_batch()] == [1, 0]


@pytest.mark.django_db
def test_without_a_comment_no_model_is_asked(model):
    assert analyze_batch() == 0
    assert model.batches == []


@pytest.mark.django_db
def test_who_wants_to_buy_is_flagged_and_who_has_bought_is_not(model):
    buyer, _fan = CommentFactory(text=ASKS), CommentFactory(text=OWNS)
    analyze_batch()
    assert Review.objects.get().intent.comment == buyer


@pytest.mark.django_db
@pytest.mark.parametrize(("score", "flagged"), [(60, True), (59, False)])
@pytest.mark.parametrize("hold", ["language", "model_failed"])
def test_a_held_result_is_flagged_like_any_other(model, hold, score, flagged):
    model.answer = lambda _: BUYER._replace(score=score, hold=hold, language="de")
    CommentFactory()
    analyze_batch()
    result = IntentResult.objects.get()
    assert (result.hold, result.language) == (hold, "de")
    assert Review.objects.filter(intent=result).exists() is flagged


@pytest.mark.django_db
def test_the_tone_is_not_told_in_a_language_that_the_lexicon_lacks(model):
    model.answer = lambda _: FAN._replace(hold="language", language="de")
    CommentFactory(text="die die die")
    analyze_batch()
    assert IntentResult.objects.get().sentiment == "neutral"


@pytest.mark.django_db
def test_the_score_from_which_on_intents_are_flagged_is_a_setting(model, settings):
    settings.REVIEW_MIN_SCORE = 101
    CommentFactory(text=ASKS)
    analyze_batch()
    assert not Review.objects.exists()


@pytest.mark.django_db
def test_a_batch_takes_the_oldest_first_and_no_more_than_its_size(model, settings):
    settings.COMMENT_BATCH_SIZE = 2
    oldest, second, _third = CommentFactory.create_batch(3)
    assert analyze_batch() == 2
    assert set(IntentResult.objects.values_list("comment", flat=True)) == {oldest.pk, second.pk}


@pytest.mark.django_db
def test_a_batch_that_dies_leaves_its_comments_waiting(model, monkeypatch):
    def die(_results):
        raise OperationalError("the connection is gone")

    CommentFactory(text=ASKS)
    monkeypatch.setattr("intents.reviews.flag", die)
    with pytest.raises(OperationalError):
        analyze_batch()
    assert not IntentResult.objects.exists()
    assert Comment.objects.filter(analyzed_at=None).count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_take_different_comments(model, settings):
    settings.COMMENT_BATCH_SIZE = 2
    CommentFactory.create_batch(3)

    def work() -> int:
        try:
            return analyze_batch()
        finally:
            connection.close()

    with transaction.atomic():  # as a worker that is at it
        list(Comment.objects.select_for_update().order_by("id")[:2])
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(work).result() == 1
    assert analyze_batch() == 2


# Challengers ------------------------------------------------------------------------------------


@pytest.fixture
def on_trial(model, monkeypatch):
    """`on_trial(share, challenger)`: the champion `model` and a challenger; returns its row."""

    def start(share: int, challenger: FakeModel) -> ModelVersion:
        row = ModelVersion.objects.create(
            name=challenger.version, role="challenger", traffic_percent=share, card={}
        )
        models = active(model, (row.pk, share, challenger))
        monkeypatch.setattr(registry, "active", lambda: models)
        return row

    return start


def praises(_text: str) -> Prediction:
    return FAN


def breaks(_text: str) -> Prediction:
    raise ValueError("on trial")


@pytest.mark.django_db
def test_a_challenger_answers_its_share_and_the_champion_the_rest(model, on_trial):
    on_trial(50, FakeModel("new", praises))
    for number in range(40):
        CommentFactory(text=f"price of number {number}?")
    analyze_batch()
    versions = set(IntentResult.objects.values_list("model_version", "label"))
    assert versions == {("fake", "purchase_intent"), ("new", "praise")}
    [asked] = model.batches  # in one call
    assert len(asked) == IntentResult.objects.filter(model_version="fake").count()


@pytest.mark.django_db
def test_a_challenger_without_a_share_is_only_heard(on_trial):
    row = on_trial(0, FakeModel("new", praises))
    comment = CommentFactory(text="price?")
    analyze_batch()
    assert IntentResult.objects.get().label == "purchase_intent"
    shadow = ShadowPrediction.objects.get()
    assert (shadow.comment_id, shadow.version, shadow.label) == (comment.pk, row, "praise")


@pytest.mark.django_db
@pytest.mark.parametrize("share", [0, 100])
def test_where_a_challenger_fails_the_champion_answers(on_trial, share):
    on_trial(share, FakeModel("new", breaks))
    CommentFactory.create_batch(3, text="price?")
    assert analyze_batch() == 3
    assert set(IntentResult.objects.values_list("model_version", flat=True)) == {"fake"}


@pytest.mark.django_db
def test_of_a_comment_that_failed_nobody_is_heard_in_shadow(on_trial):
    on_trial(0, FakeModel("new", praises))
    answered = CommentFactory(text="price?")
    CommentFactory(text="poison")
    analyze_batch()
    assert ShadowPrediction.objects.get().comment_id == answered.pk


# What is told of a batch ------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_batch_is_one_line_in_the_log(model, caplog):
    caplog.set_level(logging.INFO, logger="intents.analysis")
    for text in ("price?", "where?", "nice", "poison"):
        CommentFactory(text=text)
    analyze_batch()
    [line] = [r for r in caplog.records if r.name == "intents.analysis"]
    assert (line.getMessage(), line.analyzed, line.failed) == ("comments analysed", 3, 1)
    assert line.labels == {"purchase_intent": 2, "praise": 1}
    assert line.model_versions == {"fake": 3}


@pytest.mark.django_db
def test_a_batch_is_counted_by_label(model):
    def counted() -> float:
        return REGISTRY.get_sample_value("intent_analyzed_total", {"label": "praise"}) or 0

    before = counted()
    CommentFactory.create_batch(2, text="nice")
    analyze_batch()
    assert counted() == before + 2
