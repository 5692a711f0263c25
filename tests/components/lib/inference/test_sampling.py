"""Draws: the same shares as transformers' warpers, and tokens that come as often as they say."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

from components.lib.inference.sampling import Sampling, draw, softmax, warped


def by_transformers(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    warpers = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    ids = torch.zeros((1, 1), dtype=torch.long)
    return warpers(ids, torch.from_numpy(logits[None]))[0].softmax(-1).numpy()


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 600),
    st.floats(0.05, 5),
    st.floats(0.01, 1),
    st.floats(0.1, 20),
)
def test_shares_are_those_of_the_warpers_of_transformers(seed, size, temperature, top_p, spread):
    logits = np.random.default_rng(seed).normal(scale=spread, size=size).astype(np.float32)
    sampling = Sampling(temperature=temperature, top_p=top_p)
    ours, theirs = warped(logits, sampling), by_transformers(logits, sampling)
    assert ours.sum() == pytest.approx(1, abs=1e-5)
    # a token that stands on the border to rounding may fall on either side
    differs = np.flatnonzero((ours > 0) != (theirs > 0))
    assert len(differs) <= 1
    scale = 1 + theirs[differs].sum() + ours[differs].sum()
    same = np.delete(np.arange(size), differs)
    np.testing.assert_allclose(ours[same], theirs[same], rtol=1e-3 * scale, atol=2e-2 * (scale - 1))


def test_only_the_smallest_set_that_holds_top_p_is_drawn_from():
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    assert warped(logits, Sampling(temperature=1, top_p=0.4)).tolist() == [1, 0, 0]
    kept = warped(logits, Sampling(temperature=1, top_p=0.6))
    assert kept.tolist() == pytest.approx([0.625, 0.375, 0])


def test_probabilities_too_small_to_raise_are_still_drawn_from():
    shares = warped(np.array([-70.0, -72.0], np.float32), Sampling(temperature=0.05))
    assert shares[0] == pytest.approx(1)


def test_tokens_are_drawn_as_often_as_their_shares_say():
    shares = np.array([0.1, 0.0, 0.6, 0.3], np.float32)
    random = np.random.default_rng(0)
    counts = np.bincount([draw(shares, random) for _ in range(20_000)], minlength=4)
    assert (counts / 20_000).tolist() == pytest.approx(shares.tolist(), abs=0.015)
    assert counts[1] == 0


def test_a_draw_at_the_very_end_is_a_token_that_has_a_share():
    class AlmostOne:
        def random(self) -> float:
            return float(np.nextafter(1.0, 0.0))

    shares = np.array([0.25, 0.75, 0.0, 0.0], np.float32)
    assert draw(shares, AlmostOne()) == 1  # pyright: ignore[reportArgumentType]


def test_softmax_of_large_logits_does_not_overflow():
    shares = softmax(np.array([1e4, 1e4, -1e4], np.float32))
    assert shares.tolist() == [0.5, 0.5, 0]


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"seed": -1}])
def test_a_way_to_draw_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)
