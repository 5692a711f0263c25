"""Which matrices can be sparse, and what their zeros are."""

import pytest
import torch

from components.lib.models.build import SpecialIds, build_model
from components.lib.models.shape import Shape
from components.lib.models.sparsity import (
    blocks_of,
    has_pattern,
    prunable,
    require_pattern,
    smallest,
    sparsity_of,
)

_LLAMA = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def built(architecture: str, **changes):
    sizes = {"width": 32, "num_layers": 2, "num_heads": 2, "num_key_value_heads": 2}
    return build_model(
        Shape(architecture=architecture, **{**sizes, **changes}), 48, SpecialIds(0, 1), 0
    )


def test_the_linear_layers_of_the_blocks_can_be_sparse_and_nothing_else():
    found = prunable(built("llama"))
    assert len(found) == 14
    assert {matrix.name.split(".")[-1] for matrix in found} == _LLAMA
    assert [matrix.block for matrix in found] == [0] * 7 + [1] * 7
    assert found[6].kind == found[13].kind == "mlp.down_proj"


def test_a_transposed_layer_is_seen_as_outputs_by_inputs_and_written_through():
    model = built("gpt2")
    matrix = next(m for m in prunable(model) if m.kind == "mlp.c_fc")
    assert tuple(matrix.weight.shape) == (128, 32)
    matrix.weight[5] = 0.0
    assert not blocks_of(model)[0].mlp.c_fc.weight[:, 5].any()


def test_a_mixture_of_experts_is_refused_by_its_coverage():
    with pytest.raises(ValueError, match="of the weights in the blocks of this MixtralForCausalLM"):
        prunable(built("moe"))


def test_the_smallest_of_each_group_are_found_and_of_equal_ones_the_first():
    scores = torch.tensor([[3.0, 1.0, 2.0, 0.0], [5.0, 5.0, 5.0, 5.0]])
    assert smallest(scores, 2).tolist() == [[False, True, False, True], [True, True, False, False]]


def test_sparsity_is_counted_by_layer():
    model = built("llama")
    weight = prunable(model)[0].weight
    weight[::2] = 0.0
    found = sparsity_of(model)
    assert found["model.layers.0.self_attn.q_proj"] == 0.5
    assert found["model.layers.1.self_attn.q_proj"] == 0.0


def test_a_pattern_is_told_from_one_that_is_broken_once():
    weight = torch.ones(3, 8)
    weight[:, [0, 1, 4, 7]] = 0.0
    assert has_pattern(weight, "2:4")
    assert has_pattern(weight, "4:8")
    weight[2, 0], weight[2, 2] = 1.0, 1.0
    weight[2, 3] = 0.0
    assert has_pattern(weight, "2:4")
    weight[1, 1] = 1.0
    assert not has_pattern(weight, "2:4")


def test_a_width_that_no_group_divides_is_refused_by_name():
    require_pattern({"up": torch.ones(2, 8)}, "2:4")
    with pytest.raises(ValueError, match="up has 6 inputs, no multiple of 4"):
        require_pattern({"up": torch.ones(2, 6)}, "2:4")
