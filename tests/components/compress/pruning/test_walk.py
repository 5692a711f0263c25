"""The walk over the blocks computes what the model does, and leaves it as it was."""

import importlib.util
from pathlib import Path

import pytest
import torch

from components.compress.pruning.walk import Moments, Walk
from components.lib.models.folders import load_model
from components.lib.models.sparsity import prunable

_spec = importlib.util.spec_from_file_location(
    "foreign", Path(__file__).parents[2] / "pretrain" / "foreign.py"
)
assert _spec is not None and _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)

KINDS = ("Llama", "Qwen3", "Gemma2", "Gemma3Text", "GPT2", "Mistral", "OPT", "GPTNeoX", "Bloom")


def opened(folder: Path, kind: str):
    make = foreign.gemma if kind.startswith("Gemma") else foreign.smol
    return load_model(make(folder / "model", kind))


def texts(number: int, length: int = 100) -> torch.Tensor:
    return torch.randint(5, 200, (number, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS)
def test_block_by_block_gives_the_logits_of_the_whole_model(tmp_path, kind):
    model, ids = opened(tmp_path, kind), texts(2)
    with torch.no_grad():
        whole = model(input_ids=ids, use_cache=False).logits
    with Walk(model) as walk:
        states = walk.embed(ids)
        states = walk.through(0, ids, states)
        from_one = walk.logits_from(1, ids[1:], states[1])
        kept = walk.all_states(ids[:1])
    assert torch.allclose(from_one, whole[1], atol=1e-4)
    assert len(kept) == 3
    assert torch.allclose(kept[1], states[0], atol=1e-5)
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids, use_cache=False).logits, whole)


def test_moments_are_sums_over_all_inputs_and_shared_by_those_that_read_one(tmp_path):
    model, ids = opened(tmp_path, "Llama"), texts(3, 20)
    ours = [matrix for matrix in prunable(model) if matrix.block == 0]
    seen: list[torch.Tensor] = []
    handle = ours[3].module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with Walk(model) as walk:
        states = walk.embed(ids)
        with Moments(ours) as moments:
            walk.through(0, ids, states)
    handle.remove()
    rows = torch.cat([given.flatten(0, 1) for given in seen[-3:]])
    assert ours[3].kind == "self_attn.o_proj"
    assert torch.allclose(moments.of(ours[3]), rows.T @ rows, rtol=1e-4, atol=1e-6)
    assert moments.of(ours[0]) is moments.of(ours[1]) is moments.of(ours[2])
    assert moments.of(ours[4]) is moments.of(ours[5])
    assert moments.of(ours[2]) is not moments.of(ours[4])
