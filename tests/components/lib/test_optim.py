"""Schedules against their formulas, and which weights decay."""

import math
from copy import deepcopy

import pytest
import torch

from components.lib.architectures import SpecialIds, build_model
from components.lib.models import num_parameters
from components.lib.optim import Optimizers, warmup_stable_decay
from components.lib.shape import Shape


def _model(architecture="llama"):
    heads = 2 if architecture in ("gpt2", "bert") else 1
    shape = Shape(
        architecture=architecture,
        width=32,
        num_layers=2,
        num_heads=2,
        num_key_value_heads=heads,
        max_length=32,
    )
    return build_model(shape, 40, SpecialIds(0, 1), seed=0)


def test_the_rate_rises_to_the_peak_stays_there_and_falls_to_almost_nothing():
    rates = [warmup_stable_decay(step, 100, 0.1, 0.4) for step in range(100)]
    for step, rate in enumerate(rates):
        if step < 10:
            expected = (step + 1) / 10
        elif step < 60:
            expected = 1.0
        else:
            expected = 1 - (step - 60) / 40
        assert rate == pytest.approx(expected), step
    assert rates[-1] == pytest.approx(1 / 40)
    assert min(rates) > 0, "a step with no learning rate is wasted"


@pytest.mark.parametrize("num_steps", [1, 2, 3, 7])
@pytest.mark.parametrize(("warmup", "decay"), [(0.0, 0.0), (0.02, 0.4), (1.0, 1.0)])
def test_short_runs_and_extreme_fractions_have_a_rate_between_0_and_1(num_steps, warmup, decay):
    for step in range(num_steps):
        assert 0 < warmup_stable_decay(step, num_steps, warmup, decay) <= 1


def test_every_weight_is_optimized_once_and_a_tied_embedding_counts_once():
    model = _model()
    assert model.lm_head.weight is model.model.embed_tokens.weight
    optimizers = Optimizers(model, learning_rate=0.1, weight_decay=0.1)
    held = [p for o in optimizers._all for group in o.param_groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held})
    assert {id(p) for p in held} == {id(p) for p in model.parameters()}
    assert sum(p.numel() for p in held) == num_parameters(model)
    assert sum(p.numel() for p in optimizers.parameters) == num_parameters(model)


def test_hidden_matrices_go_to_muon_and_embeddings_and_norms_do_not():
    model = _model()
    muon, adamw = Optimizers(model, learning_rate=0.1, weight_decay=0.1)._all
    in_muon = {id(p) for group in muon.param_groups for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in in_muon}
    assert len(names) == 2 * 7
    assert all(".self_attn." in name or ".mlp." in name for name in names)
    assert isinstance(muon, torch.optim.Muon)
    assert isinstance(adamw, torch.optim.AdamW)


def test_without_gradients_matrices_shrink_by_the_decay_and_norms_stay():
    """Decoupled decay (Loshchilov and Hutter 2019): w <- w (1 - rate x scale x decay)."""
    model = _model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizers = Optimizers(model, learning_rate=0.2, weight_decay=0.5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizers.step(scale=0.5)
    for name, parameter in model.named_parameters():
        factor = 1.0 if "norm" in name else 1 - 0.2 * 0.5 * 0.5
        torch.testing.assert_close(parameter.detach(), before[name] * factor, msg=name)
        assert parameter.grad is None, "the gradient is not forgotten"


def test_the_first_update_of_an_embedding_is_adams():
    """After one step Adam's update is rate x sign(g), whatever the size of the gradient."""
    model = _model()
    embedding = model.model.embed_tokens.weight
    before = embedding.detach().clone()
    optimizers = Optimizers(model, learning_rate=0.01, weight_decay=0.0)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    optimizers.step(scale=0.5)
    torch.testing.assert_close(embedding.detach(), before - 0.005)


def test_embeddings_learn_as_many_times_faster_as_they_are_told():
    model = _model()
    embedding, norm = model.model.embed_tokens.weight, model.model.norm.weight
    before = embedding.detach().clone()
    optimizers = Optimizers(model, learning_rate=0.01, weight_decay=0.0, embedding_multiplier=4.0)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    optimizers.step(scale=0.5)
    torch.testing.assert_close(embedding.detach(), before - 0.02)
    torch.testing.assert_close(norm.detach(), torch.full_like(norm, 1 - 0.005))


def test_a_matrix_is_updated_by_about_the_root_mean_square_that_adam_has():
    """0.2 is the update of AdamW that Liu et al. 2025 match, section 2.2."""
    model = _model()
    weight = model.model.layers[0].self_attn.q_proj.weight
    before = weight.detach().clone()
    optimizers = Optimizers(model, learning_rate=0.01, weight_decay=0.0)
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizers.step(scale=1.0)
    size = math.sqrt(float(((weight.detach() - before) ** 2).mean()))
    assert 0.5 * 0.2 * 0.01 < size < 2 * 0.2 * 0.01


def test_restored_optimizers_go_on_exactly_as_the_saved_ones():
    def step(model, optimizers, seed):
        torch.manual_seed(seed)
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizers.step(1.0)

    one, two = _model(), _model()
    first, second = (Optimizers(m, learning_rate=0.01, weight_decay=0.1) for m in (one, two))
    step(one, first, 1)
    two.load_state_dict(one.state_dict())
    second.load_state_dict(deepcopy(first.state_dict()))  # torch would share the tensors
    step(one, first, 2)
    step(two, second, 2)
    for left, right in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(left, right)
