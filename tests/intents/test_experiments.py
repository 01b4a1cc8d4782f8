"""Challengers answer their share, speak in shadow, harm nothing, and are compared by decisions."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from comments.partitions import partitions
from intents import experiments, registry
from intents.classifier import Prediction
from intents.experiments import answering, compare, store_shadow, wilson
from intents.models import IntentResult, ModelVersion, Review, ShadowPrediction
from intents.registry import Active, Challenger
from intents.reviews import decide
from tests.factories import CommentFactory, IntentResultFactory, ReviewFactory, UserFactory
from tests.intents.fake_models import says
from tests.intents.fakes import FakeModel

pytestmark = pytest.mark.django_db


def trial(*shares: int) -> Active:
    """Challengers with these shares; their keys are 1, 2, …"""
    model: Any = FakeModel()
    return Active(model, [Challenger(key, share, model) for key, share in enumerate(shares, 1)])


def figures_of(*versions: ModelVersion) -> list[Any]:
    """Of the last week."""
    return list(compare(versions or list(ModelVersion.objects.all()), week_ago()))


def week_ago() -> datetime:
    return timezone.now() - timedelta(days=7)


# --- who answers ---


def test_the_same_comment_always_goes_to_the_same_model():
    active = trial(10, 30)
    first = [answering(n, active) for n in range(1000)]
    assert first == [answering(n, active) for n in range(1000)]


def test_everybody_answers_about_their_share():
    active = trial(10, 30)
    who = (answering(n * 1_000_003, active) for n in range(20_000))
    counts = Counter(challenger.version_id if challenger else 0 for challenger in who)
    assert counts[1] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert counts[2] / 20_000 == pytest.approx(0.3, abs=0.01)
    assert counts[0] / 20_000 == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize(("shares", "expected"), [((0,), {0}), ((100,), {1}), ((), {0})])
def test_a_share_of_nothing_or_all_is_exact(shares, expected):
    active = trial(*shares)
    who = {c.version_id if (c := answering(n, active)) else 0 for n in range(1000)}
    assert who == expected


# --- in shadow ---


def test_what_a_challenger_would_say_is_stored(registered, answers):
    answers["ours"] = says(42, "product_question")
    ours = registered("ours", "challenger")
    comments = CommentFactory.create_batch(3)
    assert store_shadow(comments, registry.active()) == 3
    row = ShadowPrediction.objects.get(comment_id=comments[0].pk)
    assert (row.version, row.label, row.score) == (ours, "product_question", 42)


def test_a_challenger_is_not_asked_in_shadow_about_what_it_answers_itself(registered):
    first, second = registered("first", "challenger"), registered("second", "challenger")
    registry.try_out(first, 100)
    store_shadow(CommentFactory.create_batch(2), registry.active())
    assert set(ShadowPrediction.objects.values_list("version", flat=True)) == {second.pk}


def test_a_challenger_that_raises_harms_neither_the_batch_nor_the_others(registered, answers):
    bad, good = registered("bad", "challenger"), registered("good", "challenger")
    answers["bad"] = lambda _text: 1 / 0
    comments = CommentFactory.create_batch(2)
    assert store_shadow(comments, registry.active()) == 2
    assert set(ShadowPrediction.objects.values_list("version", flat=True)) == {good.pk}
    assert not ShadowPrediction.objects.filter(version=bad).exists()


@pytest.mark.parametrize(
    "answer",
    [
        Prediction("other", 1, float("nan")),
        Prediction("other", 101, 0.5),
        Prediction("nonsense", 1, 0.5),
        Prediction("other", 1, 0.5, hold="model_failed"),
    ],
)
def test_an_answer_that_cannot_be_used_is_skipped(registered, answers, answer):
    answers["ours"] = lambda text: answer if text == "bad" else Prediction("other", 1, 0.5)
    registered("ours", "challenger")
    bad, good = CommentFactory(text="bad"), CommentFactory(text="good")
    assert store_shadow([bad, good], registry.active()) == 1
    assert ShadowPrediction.objects.get().comment_id == good.pk


def test_too_few_answers_are_none():
    model: Any = FakeModel()
    model.predict = lambda texts: FakeModel().predict(texts)[1:]
    assert experiments.ask(Challenger(1, 0, model), ["a", "b"]) == [None, None]


def test_comments_from_before_the_table_keep_their_results(registered):
    registered("ours", "challenger")
    comment = CommentFactory()
    with connection.cursor() as cursor:
        for name, _upper in partitions("intents_shadowprediction"):
            cursor.execute(f"DROP TABLE {name}")
    assert store_shadow([comment], registry.active()) == 0
    IntentResultFactory(comment=comment)  # the transaction goes on


# --- compared ---


def decided(version: str, score: int, *, buys: bool, **review):
    """A comment that a version answered and a person decided."""
    row = ReviewFactory(intent__model_version=version, intent__score=score, **review)
    person = UserFactory()
    decide(
        row.pk,
        Review.Status.APPROVED if buys else Review.Status.REJECTED,
        user_id=person.pk,
    )
    return row


@pytest.fixture
def no_messages(monkeypatch):
    """Approving sends nothing here."""
    monkeypatch.setattr("intents.reviews.review_approved.send", lambda **_: None)


def test_precision_and_recall_are_counted_by_what_people_decided(registered, no_messages):
    for score, buys, times in ((90, True, 20), (85, False, 5), (65, True, 10), (62, False, 15)):
        for _ in range(times):
            decided("shipped", score, buys=buys)
    (figures,) = figures_of()
    assert (figures.decided, figures.buyers, figures.answers) == (50, 30, 50)
    at_60, at_80 = figures.thresholds
    assert at_60.precision.value == pytest.approx(30 / 50)
    assert at_60.recall.value == 1
    assert at_80.precision.value == pytest.approx(20 / 25)
    assert at_80.recall.value == pytest.approx(20 / 30)
    assert at_80.precision.low < 0.8 < at_80.precision.high
    precision = figures.average_precision
    assert precision.low <= precision.value <= precision.high
    assert figures.calibration_error.value > 0
    assert figures.scores[90] == 20


def test_of_fewer_than_thirty_decisions_nothing_is_said(registered, no_messages):
    for _ in range(29):
        decided("shipped", 90, buys=True)
    (figures,) = figures_of()
    assert figures.decided == 29
    assert not figures.is_enough
    assert figures.thresholds[0].precision is None
    assert figures.average_precision is None


def test_a_corrected_label_counts_before_the_decision(registered, no_messages):
    review = decided("shipped", 90, buys=True)
    review.refresh_from_db()
    review.corrected_label = "praise"
    review.save()
    other = decided("shipped", 90, buys=False)
    other.refresh_from_db()
    other.corrected_label = "purchase_intent"
    other.save()
    assert experiments._decisions(0) == {review.intent_id: False, other.intent_id: True}


def test_what_a_rule_decided_or_nobody_is_no_truth(registered, no_messages):
    ReviewFactory()
    decide(ReviewFactory().pk, Review.Status.APPROVED, rule="Launch: from 90 on")
    assert experiments._decisions(0) == {}


def test_what_was_flagged_is_judged_by_people_whichever_model_flagged_it(registered, no_messages):
    for number in range(29):
        decided(f"model {number % 2}", 90, buys=number % 4 == 0)
    decide(ReviewFactory().pk, Review.Status.APPROVED, rule="Launch: from 90 on")
    judged = experiments.judged(timezone.now() - timedelta(hours=1))
    assert (judged.decided, judged.buyers, judged.precision) == (29, 8, None)
    decided("model 0", 61, buys=False)
    judged = experiments.judged(timezone.now() - timedelta(hours=1))
    assert (judged.decided, judged.buyers, judged.precision) == (30, 8, wilson(8, 30))
    assert experiments.judged(timezone.now() + timedelta(minutes=1)) == (0, 0)


def test_a_challenger_is_judged_by_its_shadow_answers_to_decided_comments(registered, no_messages):
    ours = registered("ours", "challenger")
    for number in range(40):
        buys = number % 2 == 0
        review = decided("shipped", 70, buys=buys)
        ShadowPrediction.objects.create(
            comment_id=review.intent_id, version=ours, label="other", score=90 if buys else 10
        )
    shipped = ModelVersion.objects.get(name="shipped")
    theirs, mine = figures_of(shipped, ours)
    assert mine.decided == theirs.decided == 40
    assert mine.average_precision.value == 1
    assert mine.thresholds[0].precision.value == 1
    assert theirs.thresholds[0].precision.value == 0.5
    assert theirs.agreement is None
    assert mine.agreement.comments == 40
    assert mine.agreement.same_side.value == 0.5
    assert mine.agreement.same_label.value == 0


def test_answers_of_the_simple_classifier_are_not_the_models(registered):
    IntentResultFactory.create_batch(2, model_version="shipped", hold="model_failed")
    (figures,) = figures_of()
    assert figures.answers == 0


def test_only_the_newest_answers_are_read(registered, monkeypatch):
    monkeypatch.setattr(experiments, "MOST_ROWS", 2)
    for score in (10, 20, 30):
        IntentResultFactory(model_version="shipped", score=score)
    (figures,) = figures_of()
    assert figures.scores.nonzero()[0].tolist() == [20, 30]
    monkeypatch.setattr(experiments, "MOST_SEARCHED", 1)
    (figures,) = figures_of()
    assert figures.answers == 2


def test_what_was_stored_before_the_period_does_not_count(registered):
    IntentResultFactory(model_version="shipped")
    (figures,) = compare(list(ModelVersion.objects.all()), timezone.now() + timedelta(minutes=1))
    assert figures.answers == 0
    assert IntentResult.objects.count() == 1


def test_wilson_is_wide_for_few_and_stays_between_0_and_1():
    few: Any = wilson(5, 5)
    many: Any = wilson(500, 500)
    assert few.high == pytest.approx(1)
    assert many.high <= 1
    assert few.low == pytest.approx(0.566, abs=0.001)
    assert many.low > 0.99
    assert wilson(0, 0) is None
