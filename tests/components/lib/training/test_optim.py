"""Which weights are updated how, and which decay."""

import math

import pytest
import torch

from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import num_parameters
from components.lib.models.shape import ArchitectureName, Shape
from components.lib.training.hyperparameters import Hyperparameters
from components.lib.training.optim import Optimizers
from components.lib.training.parallel import load_training_state, training_state


def build(architecture: ArchitectureName = "llama"):
    heads = 2 if architecture in ("gpt2", "bert") else 1
    shape = Shape(
        architecture=architecture,
        width=32,
        num_layers=2,
        num_heads=2,
        num_key_value_heads=heads,
        num_experts=4,
        max_length=32,
    )
    return build_model(shape, 40, SpecialIds(0, 1), seed=0)


def optimizers_of(model, learning_rate=0.1, weight_decay=0.0, **changes) -> Optimizers:
    training = Hyperparameters(
        num_steps=10,
        batch_size=1,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        **changes,
    )
    return Optimizers(model, training)


def give_gradients(model, value: float | None = None, seed: int = 1) -> None:
    torch.manual_seed(seed)
    for parameter in model.parameters():
        random = torch.randn_like(parameter)
        parameter.grad = random if value is None else torch.full_like(parameter, value)


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "moe", "gpt2", "bert"])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_every_weight_is_optimized_once_and_a_tied_embedding_counts_once(architecture, optimizer):
    model = build(architecture)
    optimizers = optimizers_of(model, optimizer=optimizer)
    held = [p for o in optimizers.all for group in o.param_groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held})
    assert {id(p) for p in held} == {id(p) for p in model.parameters()}
    assert sum(p.numel() for p in held) == num_parameters(model)
    assert sum(p.numel() for p in optimizers.parameters) == num_parameters(model)


def test_hidden_matrices_go_to_muon_and_embeddings_and_norms_do_not():
    model = build()
    assert model.lm_head.weight is model.model.embed_tokens.weight
    muon, adamw = optimizers_of(model).all
    in_muon = {id(p) for group in muon.param_groups for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in in_muon}
    assert len(names) == 2 * 7
    assert all(".self_attn." in name or ".mlp." in name for name in names)
    assert isinstance(muon, torch.optim.Muon)
    assert isinstance(adamw, torch.optim.AdamW)


def test_with_adamw_alone_every_weight_has_adams_update():
    """After one step Adam's update is rate x sign(g), whatever the size of the gradient."""
    model = build()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizers = optimizers_of(model, 0.01, optimizer="adamw", embedding_multiplier=1.0)
    assert [type(optimizer) for optimizer in optimizers.all] == [torch.optim.AdamW]
    give_gradients(model, -3.0)
    optimizers.step(scale=0.5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name] + 0.005, msg=name)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_embeddings_learn_as_many_times_faster_as_they_are_told(optimizer):
    model = build()
    embedding, norm = model.model.embed_tokens.weight, model.model.norm.weight
    before = embedding.detach().clone()
    optimizers = optimizers_of(model, 0.01, embedding_multiplier=4.0, optimizer=optimizer)
    give_gradients(model, 3.0)
    optimizers.step(scale=0.5)
    torch.testing.assert_close(embedding.detach(), before - 0.02)
    torch.testing.assert_close(norm.detach(), torch.full_like(norm, 1 - 0.005))


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("architecture", ["llama", "moe", "gpt2"])
def test_without_gradients_matrices_shrink_by_the_decay_and_vectors_stay(architecture, optimizer):
    """Decoupled decay (Loshchilov and Hutter 2019): w <- w (1 - rate x scale x decay)."""
    model = build(architecture)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)  # no bias and no projection is zero, where nothing could decay
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizers = optimizers_of(model, 0.2, 0.5, embedding_multiplier=3.0, optimizer=optimizer)
    give_gradients(model, 0.0)
    optimizers.step(scale=0.5)
    for name, parameter in model.named_parameters():
        is_embedding = any(part in name for part in ("embed", "wte", "wpe"))
        rate = 0.2 * 0.5 * (3.0 if is_embedding else 1.0)
        factor = 1.0 if parameter.ndim == 1 else 1 - rate * 0.5
        torch.testing.assert_close(parameter.detach(), before[name] * factor, msg=name)
        assert parameter.grad is None, "the gradient is not forgotten"


def test_a_matrix_is_updated_by_about_the_root_mean_square_that_adam_has():
    """0.2 is the update of AdamW that Liu et al. 2025 match, section 2.2."""
    model = build()
    weight = model.model.layers[0].self_attn.q_proj.weight
    before = weight.detach().clone()
    optimizers = optimizers_of(model, 0.01)
    give_gradients(model)
    optimizers.step(scale=1.0)
    size = math.sqrt(float(((weight.detach() - before) ** 2).mean()))
    assert 0.5 * 0.2 * 0.01 < size < 2 * 0.2 * 0.01


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("architecture", ["llama", "moe", "gpt2", "bert"])
def test_restored_optimizers_go_on_exactly_as_the_saved_ones(architecture, optimizer):
    """Also with another learning rate: what is loaded brings new groups along."""
    one, two = build(architecture), build(architecture)
    first, second = (optimizers_of(model, 0.01, 0.1, optimizer=optimizer) for model in (one, two))
    give_gradients(one, seed=1)
    first.step(1.0)
    saved = training_state(one, first)
    copied = {  # as a checkpoint does: it would share the tensors
        "model": {name: value.clone() for name, value in saved["model"].items()},
        "optimizers": {
            "state": {
                name: {key: value.clone() for key, value in state.items()}
                for name, state in saved["optimizers"]["state"].items()
            },
            "param_groups": saved["optimizers"]["param_groups"],
        },
    }
    training_state(two, second)
    load_training_state(two, second, copied)
    for scale in (0.5, 0.25):
        give_gradients(one, seed=2)
        first.step(scale)
        give_gradients(two, seed=2)
        second.step(scale)
    for (name, left), right in zip(one.named_parameters(), two.parameters(), strict=True):
        assert torch.equal(left, right), name


def test_gradients_that_are_forgotten_change_nothing():
    model = build()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizers = optimizers_of(model)
    give_gradients(model, math.nan)
    optimizers.forget()
    optimizers.step(1.0)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
