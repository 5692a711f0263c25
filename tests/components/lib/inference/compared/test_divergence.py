"""Agreement of two models: by the definition of the divergence; what breaks is seen."""

import numpy as np
import pytest
import torch

from components.lib.inference.compared.divergence import divergence
from components.lib.inference.torch_model import TorchModel
from tests.components.lib import toy

_ROWS = np.random.default_rng(0).integers(toy.VOCABULARY, size=(3, 20))


@pytest.fixture
def original():
    return TorchModel(toy.model(seed=0))


def test_a_model_agrees_with_itself(original) -> None:
    found = divergence(original, original, _ROWS)
    assert found.divergence == pytest.approx(0, abs=1e-6)
    assert found.flipped == 0


def test_the_divergence_is_that_of_its_definition(original) -> None:
    other = toy.model(seed=1)
    found = divergence(original, TorchModel(other), _ROWS)
    with torch.no_grad():
        ids = torch.from_numpy(_ROWS)
        p, q = (each(input_ids=ids).logits for each in (toy.model(seed=0), other))
    expected = torch.nn.functional.kl_div(
        q.log_softmax(-1), p.log_softmax(-1), log_target=True, reduction="sum"
    )
    assert found.divergence == pytest.approx(float(expected) / _ROWS.size, rel=1e-4)
    assert found.flipped == pytest.approx(float((p.argmax(-1) != q.argmax(-1)).float().mean()))


def test_a_model_that_computes_no_number_is_infinitely_far(original) -> None:
    broken = toy.model(seed=0)
    with torch.no_grad():
        broken.get_output_embeddings().weight[3] = float("nan")
    assert divergence(original, TorchModel(broken), _ROWS).divergence == float("inf")


def test_what_cannot_be_compared_is_refused(original) -> None:
    with pytest.raises(ValueError, match="There is no text"):
        divergence(original, original, _ROWS[:0])
    smaller = TorchModel(toy.model())
    smaller.vocab_size -= 1
    with pytest.raises(ValueError, match="have 48 and 47 tokens"):
        divergence(original, smaller, _ROWS)
