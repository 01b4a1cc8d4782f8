"""The first stage: a text's features and logits are its own, whatever stands beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intents import ngrams

LABELS = 6
ids = st.lists(st.integers(0, 30_521), min_size=2, max_size=64)


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ngrams.BUCKETS, LABELS)).astype(np.float32)


def buckets(*texts: list[int]) -> list[int]:
    return ngrams.features(texts)[0].tolist()


@settings(deadline=None)
@given(st.lists(ids, min_size=1, max_size=8))
def test_the_features_of_many_texts_are_those_of_each(texts: list[list[int]]):
    assert buckets(*texts) == [bucket for text in texts for bucket in buckets(text)]


@settings(deadline=None)
@given(st.lists(ids, min_size=1, max_size=8))
def test_it_is_told_where_each_text_begins_and_how_much_it_has(texts: list[list[int]]):
    all_buckets, starts, counts = ngrams.features(texts)
    parts = [
        all_buckets[start : start + count] for start, count in zip(starts, counts, strict=True)
    ]
    assert [part.tolist() for part in parts] == [buckets(text) for text in texts]


@settings(deadline=None)
@given(before=ids, text=ids, after=ids, other=ids)
def test_no_pair_or_triple_reaches_into_the_next_text(before, text, after, other):
    inside = slice(3 * len(before), 3 * (len(before) + len(text)))
    assert buckets(before, text, after)[inside] == buckets(before, text, other)[inside]


def test_the_order_of_words_counts():
    assert sorted(buckets([101, 5, 6, 7, 102])) != sorted(buckets([101, 7, 6, 5, 102]))


@settings(deadline=None)
@given(texts=st.lists(ids, min_size=1, max_size=8))
def test_the_logits_of_many_texts_are_those_of_each(weights, texts: list[list[int]]):
    intercept = np.arange(LABELS, dtype=np.float32)
    together = ngrams.logits(texts, weights, intercept)
    alone = [ngrams.logits([text], weights, intercept)[0] for text in texts]
    assert together == pytest.approx(np.array(alone), abs=1e-5)


def test_logits_are_small_numbers_of_single_precision(weights):
    logits = ngrams.logits([[101, 102], [101, 7, 102]], weights, np.zeros(LABELS, np.float32))
    assert logits.shape == (2, LABELS)
    assert logits.dtype == np.float32


def test_a_text_of_which_nothing_is_known_has_the_intercept(weights):
    intercept = np.arange(LABELS, dtype=np.float32)
    assert ngrams.logits([[101, 102]], np.zeros_like(weights), intercept)[0].tolist() == [
        *range(LABELS)
    ]
