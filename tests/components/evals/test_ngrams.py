"""N-gram models against the formulas, evaluated slowly with dictionaries."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evals.ngrams import Counts, KneserNeyTrigram, unigram_nats

TEXT = (
    "the union of the states is the work of the people and the people of the states are the union "
    "of the work and the states of the people are the work of the union and of the people of it "
)


def _ids(text: str) -> tuple[np.ndarray, int]:
    words = text.split()
    vocabulary = sorted(set(words))
    return np.array([vocabulary.index(word) for word in words]), len(vocabulary) + 2  # 2 unseen


def slow_kneser_ney(train: list[int], size: int, first: int, second: int, target: int) -> float:
    """Chen and Goodman 1999, section 2.7: p(w | u v), with sets and dictionaries.

    p(w | u v) = max(c(uvw) - D3, 0) / c(uv.) + D3 N1+(uv.) / c(uv.) p(w | v), and so on down; the
    lower orders count the distinct words to the left; the last order adds one.
    """
    trigrams = Counter(zip(train, train[1:], train[2:], strict=False))
    left_of_pair = defaultdict(set)
    for u, v, w in trigrams:
        left_of_pair[v, w].add(u)
    pairs = {pair: len(left) for pair, left in left_of_pair.items()}
    left_of_word = defaultdict(set)
    for v, w in pairs:
        left_of_word[w].add(v)
    words = {word: len(left) for word, left in left_of_word.items()}

    def discount(counts: list[int]) -> float:
        ones, twos = counts.count(1), counts.count(2)
        return ones / (ones + 2 * twos) if ones else 0.5

    unigram = (words.get(target, 0) + 1) / (sum(words.values()) + size)

    d2 = discount(list(pairs.values()))
    after = {w: count for (v, w), count in pairs.items() if v == second}
    bigram = unigram
    if after:
        total = sum(after.values())
        bigram = max(after.get(target, 0) - d2, 0) / total + d2 * len(after) / total * unigram

    d3 = discount(list(trigrams.values()))
    after = {w: count for (u, v, w), count in trigrams.items() if (u, v) == (first, second)}
    if not after:
        return bigram
    total = sum(after.values())
    return max(after.get(target, 0) - d3, 0) / total + d3 * len(after) / total * bigram


def test_the_trigram_is_the_formula_for_every_context_and_target():
    train, size = _ids(TEXT)
    model = KneserNeyTrigram(train, size)
    contexts = [(u, v, w) for u in range(size) for v in range(size) for w in range(size)]
    first, second, target = np.array(contexts).T
    found = model.nats(first, second, target)
    for context, nats in zip(contexts, found.tolist(), strict=True):
        expected = -math.log(slow_kneser_ney(train.tolist(), size, *context))
        assert nats == pytest.approx(expected, rel=1e-9), context


@settings(deadline=None, max_examples=60)
@given(
    train=st.lists(st.integers(0, 6), min_size=3, max_size=80),
    first=st.integers(0, 9),
    second=st.integers(0, 8),
)
def test_the_probabilities_of_all_words_sum_to_one_after_any_context(train, first, second):
    """Also after histories that were never seen; 9 is the id that stands for no history."""
    size = 9
    everything = np.arange(size)
    nats = KneserNeyTrigram(np.array(train), size).nats(
        np.full(size, first), np.full(size, second), everything
    )
    assert np.exp(-nats).sum() == pytest.approx(1.0, abs=1e-12)
    assert (nats > 0).all()


def test_no_history_falls_back_to_the_bigram():
    train, size = _ids(TEXT)
    model = KneserNeyTrigram(train, size)
    second, target = np.repeat(np.arange(size), size), np.tile(np.arange(size), size)
    without = model.nats(np.full(size * size, size), second, target)
    # an id that is in the vocabulary and was never seen is no history either
    unseen = model.nats(np.full(size * size, size - 1), second, target)
    np.testing.assert_allclose(without, unseen)


def test_the_largest_vocabulary_that_shards_can_hold_does_not_overflow():
    size = 65_536
    train = np.array([size - 1, size - 2, size - 1, size - 2, size - 1, 0, 1], np.int64)
    model = KneserNeyTrigram(train, size)
    first, second = np.full(2, size - 1), np.full(2, size - 2)
    seen, unseen = model.nats(first, second, np.array([size - 1, 5]))
    expected = slow_kneser_ney(train.tolist(), size, size - 1, size - 2, size - 1)
    assert seen == pytest.approx(-math.log(expected))
    assert unseen > seen


def test_the_unigram_adds_one_to_every_count():
    train = np.array([0, 0, 0, 2])
    nats = unigram_nats(train, np.array([0, 1, 2, 3]), vocab_size=4)
    np.testing.assert_allclose(np.exp(-nats), [4 / 8, 1 / 8, 2 / 8, 1 / 8])


def test_counts_know_what_was_seen_and_answer_zero_for_the_rest():
    counts = Counts.of(np.array([5, 1, 5, 9]))
    assert counts.look_up(np.array([0, 1, 5, 6, 9, 10])).tolist() == [0, 1, 2, 0, 1, 0]


def test_a_trigram_beats_a_unigram_on_real_text_it_has_not_seen(shards):
    train = np.load(shards.path / "train" / "shard_00000.npy").astype(np.int64)
    test = np.load(shards.path / "test" / "shard_00000.npy").astype(np.int64)
    trigram = KneserNeyTrigram(train, shards.vocab_size).nats(test[:-2], test[1:-1], test[2:])
    unigram = unigram_nats(train, test[2:], shards.vocab_size)
    assert trigram.mean() < 0.9 * unigram.mean() < unigram.mean() < math.log(shards.vocab_size)
