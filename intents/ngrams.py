"""The first stage: a linear model of a comment's token n-grams, some microseconds a text.

It is trained on what the encoder's model says (`intents.training`) and answers what it is sure of.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from intents.encoder import Ids

BUCKETS = 2**17
# Odd numbers spread the products over all buckets.
SECOND, THIRD = 1_000_003, 998_244_353

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


def features(texts: Sequence[Ids]) -> tuple[Integers, Integers, Integers]:
    """The buckets of all texts' tokens, pairs and triples of tokens, one text after the other;
    where each text begins; and how many buckets each has. A text has two tokens at least."""
    lengths = np.array([len(ids) for ids in texts])
    ids = np.concatenate([np.asarray(ids, np.int64) for ids in texts])
    # Of an n-gram that would reach into the next text, the single token stands in.
    left = np.repeat(lengths, lengths) - (
        np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    )
    second, third = np.roll(ids, -1), np.roll(ids, -2)
    pairs = np.where(left > 1, ids * SECOND + second * THIRD + 1, ids)
    triples = np.where(left > 2, ids * THIRD + second * SECOND + third * 31 + 2, ids)
    buckets = (np.stack([ids, pairs, triples], axis=1) % BUCKETS).ravel()
    counts = 3 * lengths
    return buckets, np.cumsum(counts) - counts, counts


def logits(texts: Sequence[Ids], weights: Floats, intercept: Floats) -> Floats:
    """Shape (texts, labels), of weights (BUCKETS, labels)."""
    buckets, starts, counts = features(texts)
    sums = np.add.reduceat(weights[buckets], starts)
    result = sums / np.sqrt(counts, dtype=np.float32)[:, None] + intercept
    return result.astype(np.float32, copy=False)
