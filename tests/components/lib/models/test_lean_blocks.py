"""Lean blocks compute what transformers' do, value and gradient, and keep less for it."""

import copy
from functools import partial

import pytest
import torch

from components.lib.models import lean_blocks
from components.lib.models.lean_blocks import slim
from tests.components.lib.models.test_blocked_attention import build, distance

ARCHITECTURES = ["llama", "qwen3", "gpt2", "sliding", "moe"]


def computed(model, ids):
    """Return logits and the gradient of all weights."""
    model.zero_grad()
    logits = model(input_ids=ids, use_cache=False).logits
    torch.manual_seed(2)
    (logits * torch.randn(logits.shape)).sum().backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return logits.detach().float(), torch.cat(gradients).float()


def kept_bytes(model, ids):
    """Return the bytes of what is kept for the gradient, beside the weights."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model(input_ids=ids, use_cache=False).logits
    assert logits.requires_grad
    return sum(size for place, (size, _) in kept.items() if place not in weights)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_outputs_and_gradients_are_transformers_in_float32(architecture):
    model, ids = build(architecture, 4), torch.randint(2, 99, (3, 50))
    expected = computed(model, ids)
    num_lean = slim(model)
    assert num_lean == 1 if architecture == "gpt2" else num_lean > 10, "GPT-2's maps are others"
    found = computed(model, ids)
    assert distance(found[0], expected[0]) < 1e-5
    assert distance(found[1], expected[1]) < 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_in_bfloat16_they_are_as_near_to_float32(architecture):
    model, ids = build(architecture, 4), torch.randint(2, 99, (3, 50))
    exact = computed(model, ids)
    with torch.autocast("cpu", torch.bfloat16):
        plain = computed(model, ids)
        slim(model)
        lean = computed(model, ids)
    for part in (0, 1):
        assert distance(plain[part], exact[part]) > 1e-4, "not computed in bfloat16"
        assert distance(lean[part], exact[part]) < 1.3 * distance(plain[part], exact[part])


def test_less_is_kept_for_the_gradient():
    model, ids = build("llama", 4), torch.randint(2, 99, (4, 200))
    with torch.autocast("cpu", torch.bfloat16):
        before = kept_bytes(model, ids)
        slim(model)
        assert kept_bytes(model, ids) < 0.65 * before


def test_the_gradient_of_a_large_weight_is_the_same_in_parts(monkeypatch):
    model, ids = build("llama", 4), torch.randint(2, 99, (3, 50))
    with torch.autocast("cpu", torch.bfloat16):
        slim(model)
        whole = computed(model, ids)
        monkeypatch.setattr(lean_blocks, "_NUMBERS_AT_ONCE", 64 * 7)
        parts = computed(model, ids)
    assert distance(parts[1], whole[1]) < 1e-3, "oneDNN may sum in another order"
    assert torch.equal(parts[0], whole[0])


@pytest.mark.parametrize("is_trained", [True, False])
def test_what_a_gated_network_computes_again_is_what_it_had(is_trained):
    model, ids = build("llama", 4), torch.randint(2, 99, (2, 30))
    for layer in model.model.layers:
        layer.mlp.down_proj.weight.requires_grad_(is_trained)
    found = []
    with torch.autocast("cpu", torch.bfloat16):
        slim(model)
        found.append(computed(model, ids))
        for layer in model.model.layers:  # as it is with an adapter: no lean map
            down = layer.mlp.down_proj
            down.forward = partial(lean_blocks._linear, down)
        found.append(computed(model, ids))
    assert torch.equal(found[0][0], found[1][0])
    assert distance(found[0][1], found[1][1]) < 1e-6


def test_what_was_changed_in_place_is_read_anew():
    model = build("llama", 4)
    maps = [model.model.layers[0].self_attn.q_proj, model.model.layers[0].self_attn.k_proj]
    given = torch.randn(1, 5, 64)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        slim(model)
        before = [each(given) for each in maps]
        given.zero_()
        assert all(each.any() for each in before)
        assert not any(each(given).any() for each in maps)


def test_a_copy_of_a_slim_model_has_weights_of_its_own():
    model, ids = build("llama", 4), torch.randint(2, 99, (1, 20))
    slim(model)
    other = copy.deepcopy(model)
    expected = model(input_ids=ids).logits
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(other(input_ids=ids).logits, expected)
