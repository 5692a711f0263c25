"""Tuned in a group of processes, lean blocks and light adapters give the weights of one process."""

from typing import NamedTuple

import pytest
import torch

from components.lib.device import has_bfloat16
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import load_model
from components.lib.models.shape import Shape
from tests.components.lib.toy import ROUNDING, VOCABULARY, column, ledger, losses
from tests.components.lib.tuned import Tuning, tune, tune_in_group

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.is_available(), reason="blocks are lean on a CPU alone"),
]
# bfloat16: Adam's first steps take a small gradient's sign, which rounding can turn
SAME = 0.1 if has_bfloat16() else 1e-3


def weights(folder) -> torch.Tensor:
    return torch.cat([value.flatten() for value in load_model(folder).state_dict().values()])


class Alone(NamedTuple):
    """What one process came to."""

    tuning: Tuning
    lean: int
    before: torch.Tensor
    moved: torch.Tensor


@pytest.fixture(scope="module", params=[(False, 5), (True, 5), (True, 1)])
def alone(request, tmp_path_factory):
    """Of 5 sequences in parts of 2, one of two processes has a part less; of 1, none at all."""
    folder = tmp_path_factory.mktemp("alone")
    shape = Shape(
        architecture="llama",
        width=32,
        num_layers=2,
        num_heads=2,
        num_key_value_heads=1,
        max_length=128,
    )
    build_model(shape, VOCABULARY, SpecialIds(0, 1), seed=0).save_pretrained(folder / "base")
    tuning = Tuning(folder / "base", folder / "out", *request.param)
    lean, before = tune(tuning), weights(tuning.base)
    assert lean >= 14, "linear maps of two blocks"
    moved = weights(tuning.out) - before
    other = tuning._replace(out=folder / "other", seed=1)
    tune(other)
    elsewhere = weights(other.out) - before
    assert float((elsewhere - moved).norm()) > 2 * SAME * float(moved.norm())
    return Alone(tuning, lean, before, moved)


@pytest.mark.parametrize("data_parallel", ["replicate", "shard"])
def test_two_processes_tune_as_one_does(alone, tmp_path, data_parallel):
    both = alone.tuning._replace(out=tmp_path / "both")
    lean = tune_in_group(both, 2, BLOOMERY_DATA_PARALLEL=data_parallel)
    assert lean == [alone.lean, alone.lean]
    assert ledger(both.out) == ledger(alone.tuning.out)
    assert losses(both.out) == pytest.approx(losses(alone.tuning.out), rel=ROUNDING)
    norms = column(alone.tuning.out, "optimizer.gradient_norm")
    assert column(both.out, "optimizer.gradient_norm") == pytest.approx(norms, rel=3 * ROUNDING)
    moved = weights(both.out) - alone.before
    assert float((moved - alone.moved).norm()) < SAME * float(alone.moved.norm())
