"""NEFTune: noise of the size that the paper says, the same when a step is taken again."""

import numpy as np
import pytest
import torch

from components.lib.examples.batches import IGNORED, POSITIONS, Batch
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.shape import Shape
from components.lib.objectives.next_token import NextToken
from components.lib.objectives.noisy import NoisyEmbeddings, own_lengths

POSITION_ROWS = np.array([[0, 1, 2, 0, 1, 0], [0, 1, 2, 3, 4, 5]])


@pytest.fixture
def batch() -> Batch:
    ids = np.arange(12).reshape(2, 6) % 7 + 3
    return Batch(ids, ids[:, ::-1].copy(), {POSITIONS: POSITION_ROWS}, np.array([6, 6]))


@pytest.fixture
def model():
    shape = Shape(
        architecture="llama",
        width=16,
        num_layers=1,
        num_heads=2,
        num_key_value_heads=2,
        max_length=16,
    )
    return build_model(shape, 32, SpecialIds(0, 1), seed=0)


def test_each_token_has_the_length_of_its_own_dialogue(batch):
    assert own_lengths(batch).tolist() == [[3, 3, 3, 2, 2, 1], [6] * 6]
    alone = Batch(batch.inputs, np.where(batch.targets > 0, batch.targets, IGNORED))
    assert own_lengths(alone).tolist() == [[6] * 6] * 2


def test_the_noise_is_no_larger_than_alpha_by_the_root_of_length_and_width(model, batch):
    seen = []
    embedding = model.get_input_embeddings()
    plain = embedding(torch.from_numpy(batch.inputs))
    watch = model.model.layers[0].register_forward_pre_hook(
        lambda module, given: seen.append(given[0].float())
    )
    NoisyEmbeddings(5.0)(model, batch)
    watch.remove()
    noise = (seen[0] - plain).abs().amax(-1)
    limit = 5.0 / np.sqrt(own_lengths(batch) * 16)
    assert (noise <= torch.from_numpy(limit) + 1e-2).all()
    assert (noise > 0.5 * torch.from_numpy(limit)).all()
    assert torch.equal(embedding(torch.from_numpy(batch.inputs)), plain), "the hook has stayed"


def test_a_step_that_is_taken_again_has_the_same_noise(model, batch):
    def loss(seed: int) -> float:
        torch.manual_seed(seed)
        return NoisyEmbeddings(5.0)(model, batch)["cross_entropy"].item()

    assert loss(1) == loss(1)
    assert loss(1) != loss(2)
    assert loss(1) != NextToken()(model, batch)["cross_entropy"].item()
