"""Analysis claims what waits, answers each comment once, and flags who wants to buy."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from comments.models import Comment
from intents.analysis import analyze_batch, band_of
from intents.classifier import LABELS, load_classifier
from intents.models import IntentResult, Label, Review
from tests.factories import CommentFactory

BUYER = "Where can I buy this? How much is shipping to Norway?"
FAN = "Bought it last week, love it so much!"


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
def test_a_waiting_comment_gets_its_result():
    comment = CommentFactory(text=BUYER)
    assert analyze_batch() == 1
    result = IntentResult.objects.get(comment=comment)
    assert result.label == Label.PURCHASE_INTENT
    assert result.score >= 80
    assert 0 < result.confidence <= 1
    assert result.band == "immediate_dm"
    assert result.model_version == load_classifier().version
    comment.refresh_from_db()
    assert comment.analyzed_at is not None


@pytest.mark.django_db
def test_a_comment_is_analysed_once():
    CommentFactory()
    assert [analyze_batch(), analyze_batch()] == [1, 0]


@pytest.mark.django_db
def test_who_wants_to_buy_is_flagged_and_who_has_bought_is_not():
    buyer, _fan = CommentFactory(text=BUYER), CommentFactory(text=FAN)
    analyze_batch()
    assert Review.objects.get().intent.comment == buyer


@pytest.mark.django_db
def test_the_score_from_which_on_intents_are_flagged_is_a_setting(settings):
    settings.REVIEW_MIN_SCORE = 101
    CommentFactory(text=BUYER)
    analyze_batch()
    assert not Review.objects.exists()


@pytest.mark.django_db
def test_a_batch_takes_the_oldest_first_and_no_more_than_its_size(settings):
    settings.COMMENT_BATCH_SIZE = 2
    oldest, second, _third = CommentFactory.create_batch(3)
    assert analyze_batch() == 2
    assert set(IntentResult.objects.values_list("comment", flat=True)) == {oldest.pk, second.pk}


@pytest.mark.django_db
def test_a_batch_that_dies_leaves_its_comments_waiting(monkeypatch):
    CommentFactory(text=BUYER)
    monkeypatch.setattr("intents.reviews.flag", lambda _results: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        analyze_batch()
    assert not IntentResult.objects.exists()
    assert Comment.objects.filter(analyzed_at=None).count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_take_different_comments(settings):
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
