"""Whether comments are scored as they were."""

from collections import Counter
from datetime import timedelta
from unittest import mock

import pytest
from django.utils import timezone

from comments import partitions
from intents import drift
from intents.models import IntentResult


def test_the_same_distribution_has_an_index_of_next_to_nothing():
    assert drift.stability_index(Counter({0: 900, 9: 100}), Counter({0: 9000, 9: 1000})) < 0.01


def test_another_distribution_has_a_high_one_and_empty_bins_no_infinite_one():
    assert drift.stability_index(Counter({0: 900, 9: 100}), Counter({0: 500, 9: 500})) > 0.25
    assert 1 < drift.stability_index(Counter({0: 1000}), Counter({9: 1000})) < 50


@pytest.fixture
def analysed(db):
    """`analysed(days, *scores)`: results of comments that were stored so many days ago."""
    with mock.patch.object(
        partitions, "today", return_value=partitions.today() - timedelta(days=10)
    ):
        partitions.ensure_partitions(days_ahead=10)

    def store(days: float, *scores: int) -> None:
        first = partitions.id_at(timezone.now() - timedelta(days=days))
        IntentResult.objects.bulk_create(
            IntentResult(comment_id=first + n, score=score, confidence=0.9, label="other")
            for n, score in enumerate(scores)
        )

    return store


def test_the_last_day_is_compared_with_the_week_before(analysed, monkeypatch):
    monkeypatch.setattr(drift, "LEAST", 20)
    analysed(9, *[95] * 100)  # too long ago
    analysed(5, *[5] * 20, *[95] * 20)
    analysed(0.5, *[5] * 10, *[95] * 10)
    same = drift.score_drift()
    assert same is not None
    assert same < 0.05
    analysed(0.1, *[95] * 60)
    other = drift.score_drift()
    assert other is not None
    assert other > 0.25


def test_too_few_results_say_nothing(analysed):
    analysed(5, *[5] * 600)
    assert drift.score_drift() is None
    analysed(0.5, *[5] * 499)
    assert drift.score_drift() is None
    analysed(0.1, 5)
    assert drift.score_drift() is not None
