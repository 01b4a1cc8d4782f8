"""Is one variant better than another? Pure statistics; knows no model.

A rate is only told from MIN_SENT messages on, with the interval in which it lies with 95 %
certainty (Wilson's). Which variant is better is only said where a difference this large would come
by chance in less than one case of twenty (Fisher's exact test), whichever pair was looked at.

scipy.stats is imported where it is used: it takes 60 MB, and most processes never compare.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

MIN_SENT = 100
CONFIDENCE = 0.95
ALPHA = 0.05


class Rate(NamedTuple):
    """A share, and the bounds between which it lies with 95 % certainty."""

    share: float
    low: float
    high: float


class Counts(NamedTuple):
    """A variant's messages that were sent, and those of them that something came of."""

    name: str
    sent: int
    successes: int


class Verdict(NamedTuple):
    """What can be said of the variants; `better` is a name, or empty while nothing can."""

    better: str
    text: str


def rate(successes: int, sent: int) -> Rate | None:
    """None for fewer than MIN_SENT: of so few, any figure would mislead."""
    if sent < MIN_SENT:
        return None
    from scipy.stats import binomtest

    interval = binomtest(successes, sent).proportion_ci(CONFIDENCE, method="wilson")
    return Rate(successes / sent, float(interval.low), float(interval.high))


def compare(variants: Sequence[Counts]) -> Verdict:
    """Which of the variants (two at least) is better than every other one."""
    few = [variant for variant in variants if variant.sent < MIN_SENT]
    if few:
        names = ", ".join(f"{variant.name} has {variant.sent}" for variant in few)
        return Verdict("", f"not enough data yet: {names} of at least {MIN_SENT} messages sent")
    best, *others = sorted(variants, key=lambda v: v.successes / v.sent, reverse=True)
    # Of several pairs one looks different by chance more often than a single pair does.
    pairs = len(list(combinations(variants, 2)))
    chance = min(1.0, pairs * max(_chance(best, other) for other in others))
    if chance < ALPHA:
        return Verdict(best.name, f"{best.name} is better (p = {_shown(chance)})")
    return Verdict("", f"not enough data yet: it may be chance (p = {_shown(chance)})")


def _chance(one: Counts, other: Counts) -> float:
    """How often chance alone makes two equals differ so much."""
    from scipy.stats import fisher_exact

    table = [[variant.successes, variant.sent - variant.successes] for variant in (one, other)]
    return float(fisher_exact(table).pvalue)


def _shown(chance: float) -> str:
    return f"{chance:.2g}" if chance >= 0.001 else "below 0.001"
