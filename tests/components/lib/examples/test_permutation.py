"""The order of the data: a permutation, keyed, without memory, and random to the eye."""

from itertools import pairwise
from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.lib.examples.permutation import draw, drawn_at, invert, permute, random_words

sizes = st.integers(1, 5000)
seeds = st.integers(-(2**63), 2**70)


@settings(deadline=None, max_examples=80)
@given(size=sizes, seed=seeds)
def test_every_position_goes_to_a_place_of_its_own(size, seed):
    places = permute(np.arange(size), size, seed)
    assert sorted(places.tolist()) == list(range(size))


def test_sizes_around_the_powers_of_two_are_permuted_too():
    for size in [2**bits + offset for bits in range(1, 13) for offset in (-1, 0, 1)]:
        assert sorted(permute(np.arange(size), size, 3).tolist()) == list(range(size)), size


def test_a_place_depends_on_nothing_but_its_position_size_and_seed():
    whole = permute(np.arange(1000), 1000, 7)
    for position in (0, 1, 500, 999):
        assert permute(np.array([position]), 1000, 7)[0] == whole[position]


@settings(deadline=None, max_examples=150)
@given(size=st.integers(1, 2**45), seed=seeds, data=st.data())
def test_the_inverse_leads_back_from_every_place(size, seed, data):
    positions = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=20)))
    assert np.array_equal(invert(permute(positions, size, seed), size, seed), positions)
    assert np.array_equal(permute(invert(positions, size, seed), size, seed), positions)


def test_the_inverse_holds_around_the_powers_of_two_where_the_walk_is_long():
    for size in [2**bits + offset for bits in range(1, 13) for offset in (-1, 0, 1)]:
        positions = np.arange(size)
        assert np.array_equal(invert(permute(positions, size, 3), size, 3), positions), size


@settings(deadline=None, max_examples=100)
@given(
    size=st.integers(1, 60),
    batch=st.integers(1, 80),
    num_draws=st.integers(0, 12),
    seed=st.integers(0, 2**32),
)
def test_the_draws_that_hold_an_example_are_those_that_drew_it(size, batch, num_draws, seed):
    draws = [draw(number, batch, size, seed).tolist() for number in range(num_draws)]
    found = drawn_at(np.arange(size), num_draws, batch, size, seed)
    expected = [[n for n, drawn in enumerate(draws) if example in drawn] for example in range(size)]
    assert [at.tolist() for at in found] == expected


def test_when_an_example_was_drawn_is_known_without_drawing_a_billion_batches():
    size, batch, num_draws = 10**12, 1024, 10**9
    example = draw(num_draws - 7, batch, size, seed=2)[5:6]
    (at,) = drawn_at(example, num_draws, batch, size, seed=2)
    assert num_draws - 7 in at.tolist()
    assert len(at) == 2, "of epochs 0 and 1"


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**40), other=st.integers(0, 2**40))
def test_the_order_depends_on_the_seed(seed, other):
    same = (permute(np.arange(1000), 1000, seed) == permute(np.arange(1000), 1000, other)).mean()
    assert same == 1.0 if seed == other else same < 0.03


def test_a_size_beyond_32_bits_stays_inside_and_does_not_collide():
    size = 3 * 2**40 + 7
    places = permute(np.arange(20_000), size, 1)
    assert places.min() >= 0
    assert places.max() < size
    assert len(np.unique(places)) == 20_000


@settings(deadline=None, max_examples=60)
@given(size=st.integers(1, 400), batch=st.integers(1, 64), seed=st.integers(0, 2**32))
def test_each_epoch_shows_every_example_exactly_once(size, batch, seed):
    num_steps = -(-3 * size // batch)
    order = np.concatenate([draw(step, batch, size, seed) for step in range(num_steps)])
    for epoch in range(3):
        assert sorted(order[epoch * size : (epoch + 1) * size].tolist()) == list(range(size))


def test_each_epoch_has_an_order_of_its_own():
    first, second = draw(0, 500, 500, 0), draw(1, 500, 500, 0)
    assert (first == second).mean() < 0.03


@settings(deadline=None, max_examples=40)
@given(step=st.integers(0, 10**6), ranks=st.sampled_from([1, 2, 3, 4, 8]))
def test_any_number_of_workers_shares_the_same_global_batch(step, ranks):
    whole = draw(step, 24, 777, seed=5)
    parts = [draw(step, 24, 777, seed=5)[rank::ranks] for rank in range(ranks)]
    assert sorted(np.concatenate(parts).tolist()) == sorted(whole.tolist())
    assert {len(part) for part in parts} <= {24 // ranks, -(-24 // ranks)}


def evenness(order: np.ndarray, batch: int = 32) -> float:
    """Return the variance of the batch means of sorted data over what random batches have.

    Of values 0..n-1 drawn without order, a batch of B has a mean of variance n² / (12 B).
    """
    means = order[: len(order) // batch * batch].reshape(-1, batch).mean(axis=1)
    return float(means.var() / (len(order) ** 2 / (12 * batch)))


@pytest.mark.parametrize("seed", range(8))
def test_on_sorted_data_the_batches_look_like_random_ones(seed):
    # of 625 random batches the ratio has a standard deviation of sqrt(2 / 624) = 0.057
    order = permute(np.arange(20_000), 20_000, seed)
    assert 0.75 < evenness(order) < 1.25
    # neighbours in the order are unrelated: a correlation of 20,000 pairs has 0.007
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.035
    assert abs(np.corrcoef(np.arange(20_000), order)[0, 1]) < 0.035


@pytest.mark.parametrize("seed", range(8))
def test_an_affine_shuffle_fails_the_same_statistic(seed):
    size = 20_000
    stride = int(np.random.default_rng(seed).integers(size // 4, 3 * size // 4))
    while gcd(stride, size) > 1:
        stride += 1
    order = (stride * np.arange(size) + 11) % size
    assert sorted(order.tolist()) == list(range(size)), "not even a permutation"
    assert not 0.75 < evenness(order) < 1.25


def roughness(means: np.ndarray, size: int, batch: int) -> tuple[float, float]:
    """Return the variance of batch means over sigma^2 / B, and their correlation with the next.

    `means` are of data sorted by difficulty, 0..size-1: sigma^2 = (size^2 - 1) / 12.
    """
    variance = float(means.var() / ((size**2 - 1) / 12 / batch))
    return variance, float(np.corrcoef(means[:-1], means[1:])[0, 1])


def looks_random(means: np.ndarray, size: int, batch: int) -> bool:
    # both within five standard deviations of what independent batches have
    variance, correlation = roughness(means, size, batch)
    variance_bound = 5 * np.sqrt(2 / (len(means) - 1))
    return abs(variance - 1) < variance_bound and abs(correlation) < 5 / np.sqrt(len(means))


SIZE, BATCH = 20_011, 16  # a prime: every stride is a permutation


@pytest.mark.parametrize("seed", range(5))
def test_the_difficulty_of_the_steps_is_that_of_random_batches(seed):
    means = np.array([draw(n, BATCH, SIZE, seed).mean() for n in range(SIZE // BATCH)])
    assert looks_random(means, SIZE, BATCH)


@pytest.mark.parametrize("stride", [2, 17, 1009, 5003, 7643, 10_005, 12_368, 19_990])
def test_no_affine_shuffle_has_the_difficulty_of_random_batches(stride):
    """Of the golden section's stride, 12,368, too: the most even one is too even."""
    order = (stride * np.arange(SIZE) + 11) % SIZE
    assert len(np.unique(order)) == SIZE, "not even a permutation"
    means = order[: SIZE // BATCH * BATCH].reshape(-1, BATCH).mean(axis=1)
    assert not looks_random(means, SIZE, BATCH)


def test_the_order_of_a_seed_is_the_one_it_was():
    """A golden value: another order here is another result for every model ever trained."""
    assert draw(0, 8, 100, seed=0).tolist() == GOLDEN
    assert draw(12, 8, 100, seed=0)[:4].tolist() == draw(0, 100, 100, seed=0)[96:].tolist()


GOLDEN = [16, 41, 14, 17, 90, 36, 74, 85]


def test_words_depend_on_counter_and_key_alone_and_every_bit_of_them_is_even():
    counters = np.arange(20_000)
    words = random_words(counters, 7)
    assert (random_words(counters[[5, 900]], 7) == words[[5, 900]]).all()
    assert (random_words(counters.reshape(100, 200), 7).ravel() == words).all()
    assert len(set(words.tolist())) == len(words)
    bits = (words[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(0) - 0.5).max() < 0.02


def test_words_of_near_keys_and_counters_are_not_related():
    """A generator whose streams are shifts of each other would give the same masks one row on."""
    counters = np.arange(5000)
    seen = set(random_words(counters, 0).tolist())
    for key in range(1, 8):
        words = random_words(counters, key).tolist()
        assert not seen & set(words)
        agree = [a >> 63 == b >> 63 for a, b in pairwise(words)]
        assert abs(sum(agree) / len(agree) - 0.5) < 0.04
        seen |= set(words)
