"""Variants beside each other: nothing is said of few, and nothing of what may be chance."""

import random

import pytest
from scipy.stats import norm

from dmtrigger.comparing import MIN_SENT, Counts, compare, rate


def wilson(successes: int, sent: int) -> tuple[float, float]:
    """Wilson's interval, written out."""
    z = norm.ppf(0.975)
    share = successes / sent
    middle = (share + z * z / (2 * sent)) / (1 + z * z / sent)
    half = z * (share * (1 - share) / sent + z * z / (4 * sent * sent)) ** 0.5 / (1 + z * z / sent)
    return middle - half, middle + half


@pytest.mark.parametrize(
    ("successes", "sent"), [(0, 100), (1, 100), (30, 100), (250, 1_000), (100, 100)]
)
def test_a_rate_has_wilsons_interval(successes, sent):
    found = rate(successes, sent)
    assert found
    assert found.share == successes / sent
    assert (found.low, found.high) == pytest.approx(wilson(successes, sent), abs=1e-9)


def test_there_is_no_rate_of_few():
    assert rate(50, MIN_SENT - 1) is None
    assert rate(50, MIN_SENT) is not None


@pytest.mark.parametrize(
    ("a", "b", "better"),
    [
        ((100, 10), (100, 40), "B"),
        ((1_000, 300), (1_000, 200), "A"),
        ((100, 30), (100, 33), ""),
        ((100, 0), (100, 0), ""),
        ((100, 100), (100, 100), ""),
        ((99, 0), (10_000, 9_000), ""),
        ((0, 0), (0, 0), ""),
    ],
)
def test_one_is_better_only_if_enough_was_sent_and_chance_is_unlikely(a, b, better):
    verdict = compare([Counts("A", *a), Counts("B", *b)])
    assert verdict.better == better
    assert verdict.text.startswith(f"{better} is better" if better else "not enough data yet")


def test_who_has_too_few_is_named():
    verdict = compare([Counts("A", 99, 9), Counts("B", 100, 9)])
    assert verdict.text == "not enough data yet: A has 99 of at least 100 messages sent"


def test_with_more_variants_the_best_must_beat_each_of_them():
    two_alike = [Counts("A", 500, 200), Counts("B", 500, 198), Counts("C", 500, 50)]
    assert compare(two_alike).better == ""
    assert compare([Counts("A", 500, 300), *two_alike[1:]]).better == "A"


def test_the_more_pairs_there_are_the_more_it_takes():
    a, b = Counts("A", 1_000, 250), Counts("B", 1_000, 208)
    assert compare([a, b]).better == "A"
    alike = [Counts(name, 1_000, 208) for name in "CDEF"]
    assert compare([a, b, *alike]).better == ""


def test_of_equals_hardly_ever_one_is_called_better():
    chance = random.Random(1)  # noqa: S311 - for figures that stay the same
    wrong = 0
    for _ in range(400):
        counts = [
            Counts(name, 150, sum(chance.random() < 0.3 for _ in range(150))) for name in "AB"
        ]
        wrong += bool(compare(counts).better)
    assert wrong <= 0.05 * 400
