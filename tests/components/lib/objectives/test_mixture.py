"""A mixture's losses: against their formulas, however the batch is cut, and what they show."""

import math

import numpy as np
import pytest
import torch

from components.lib.examples.batches import IGNORED, Batch
from components.lib.group import Group
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.shape import Shape
from components.lib.objectives.mixture import MixtureNextToken

ALONE = Group(0, 1)
NUM_EXPERTS, TOP = 4, 2


def build(num_layers=2):
    """Return a mixture in float64, which autocast leaves alone.

    Rounding must not send a token to another expert.
    """
    shape = Shape(
        architecture="moe",
        width=32,
        num_layers=num_layers,
        num_heads=2,
        num_key_value_heads=1,
        max_length=32,
        num_experts=NUM_EXPERTS,
        num_experts_per_token=TOP,
    )
    model = build_model(shape, 48, SpecialIds(0, 1), seed=0)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.double()


def batch(rows=32, length=12):
    """Rows of unequal length, some with a prompt that bears no loss."""
    random = np.random.default_rng(0)
    ids = random.integers(2, 48, (rows, length + 1))
    targets = ids[:, 1:].copy()
    targets[::3, :4] = IGNORED
    for row in range(rows):
        targets[row, length - row % 5 :] = IGNORED
    return Batch(ids[:, :-1].copy(), targets)


def gradients(model, objective, whole, size):
    """Return the gradient of the loss and its value, computed `size` rows at a time."""
    model.zero_grad()
    total, counts = 0.0, objective.count(whole)
    for start in range(0, len(whole), size):
        terms = objective(model, whole.rows(slice(start, start + size)))
        assert terms.keys() == counts.keys()
        loss = sum(value / counts[name] for name, value in terms.items())
        loss.backward()
        total += loss.item()
    return torch.cat([p.grad.flatten() for p in model.parameters()]), total


def test_one_batch_of_32_gives_the_gradient_of_eight_of_4():
    model, objective, whole = build(), MixtureNextToken(z_loss=1e-3), batch()
    once, loss = gradients(model, objective, whole, 32)
    often, same = gradients(model, objective, whole, 4)
    assert loss == pytest.approx(same, rel=1e-5)
    assert float((once - often).norm() / once.norm()) < 1e-5


def test_the_terms_are_those_of_the_papers():
    model, whole = build(), batch(rows=6)
    seen = []
    for layer in model.model.layers:
        layer.mlp.gate.register_forward_hook(lambda _, __, made: seen.append(made[0].detach()))
    objective = MixtureNextToken(load_balance=2.0, router_z=3.0)
    terms = objective(model, whole)
    width = whole.trimmed().inputs.shape[1]
    balance = z = 0.0
    for logits in seen:
        for row, routed in enumerate(logits.double().view(6, width, NUM_EXPERTS).numpy()):
            last = max(i for i in range(width) if whole.targets[row, i] != IGNORED)
            length = last + 1
            chosen, probability = np.zeros(NUM_EXPERTS), np.zeros(NUM_EXPERTS)
            for token in routed[:length]:
                exponents = np.exp(token)
                chosen[np.argsort(token)[-TOP:]] += 1
                probability += exponents / exponents.sum()
                z += math.log(exponents.sum()) ** 2
            f = chosen * NUM_EXPERTS / (TOP * length)
            balance += float(f @ (probability / length))
    assert terms["load_balance"].item() == pytest.approx(2.0 * balance / 2, rel=1e-5)
    assert terms["router_z"].item() == pytest.approx(3.0 * z / 2, rel=1e-5)
    counts = objective.count(whole)
    assert counts["load_balance"] == 6
    assert counts["router_z"] == sum(12 - row % 5 for row in range(6))
    assert counts["cross_entropy"] == whole.num_targets() < counts["router_z"]


def plant(model, layer, *experts):
    """Make a router choose these experts for every token, whatever it is."""

    def route(hidden):
        logits = hidden.new_zeros(hidden.numel() // hidden.shape[-1], NUM_EXPERTS)
        logits[:, list(experts)] = 20.0
        scores, indices = logits.softmax(-1).topk(TOP)
        return logits, scores / scores.sum(-1, keepdim=True), indices

    model.model.layers[layer].mlp.gate.forward = route


def test_a_router_that_always_chooses_the_same_shows_and_costs():
    model, objective, whole = build(), MixtureNextToken(load_balance=1.0), batch()
    plant(model, 1, 0, 3)
    healthy = MixtureNextToken(load_balance=1.0)(build(), whole)["load_balance"].item()
    half = objective(model, whole)["load_balance"].item()
    found = objective.observed(ALONE)
    use = [found[f"expert_use.layer_01.expert_{expert:02}"] for expert in range(NUM_EXPERTS)]
    assert use == [0.5, 0.0, 0.0, 0.5]
    others = [found[f"expert_use.layer_00.expert_{expert:02}"] for expert in range(NUM_EXPERTS)]
    assert sum(others) == pytest.approx(1.0)
    assert min(others) > 0.05
    plant(model, 0, 1, 2)
    worst = objective(model, whole)["load_balance"].item()
    assert worst / len(whole) == pytest.approx(2.0), "the most that is possible: 4 experts over 2"
    assert 1.0 <= healthy / len(whole) < 1.4
    assert healthy < half < worst


def test_the_overflow_is_what_an_expert_is_asked_beyond_a_quarter_more_than_its_share():
    model, objective = build(num_layers=1), MixtureNextToken()
    plant(model, 0, 0, 3)
    whole = Batch(np.full((2, 12), 5), np.full((2, 12), 6))
    objective(model, whole)
    capacity = math.ceil(1.25 * 12 * TOP / NUM_EXPERTS)  # 8 of the 12 that two experts get
    assert objective.observed(ALONE)["expert_overflow"] == pytest.approx((12 - capacity) / 12)


def test_what_was_observed_does_not_depend_on_the_cut_and_is_forgotten_when_told():
    model, whole = build(), batch()
    found = []
    for size in (32, 4):
        objective = MixtureNextToken()
        assert objective.observed(ALONE) == {}
        gradients(model, objective, whole, size)
        found.append(objective.observed(ALONE))
        assert objective.observed(ALONE) == {}
    assert found[0] == pytest.approx(found[1])
    assert len(found[0]) == 2 * NUM_EXPERTS + 1


class Pair(Group):
    """Two processes that saw the same."""

    def sum(self, value):
        return value.mul_(2)


def test_shares_are_of_what_the_whole_group_saw():
    model, whole = build(), batch()
    one, two = MixtureNextToken(), MixtureNextToken()
    one(model, whole)
    two(model, whole)
    assert one.observed(ALONE) == pytest.approx(two.observed(Pair(0, 2)))


def test_the_balance_loss_alone_brings_idle_experts_back_into_use():
    model, objective, whole = build(num_layers=1), MixtureNextToken(load_balance=1.0), batch()
    gate = model.model.layers[0].mlp.gate.weight
    with torch.no_grad():
        gate.copy_(0.02 * torch.randn_like(gate))
        gate[:2] += 0.15 * model.model.layers[0].post_attention_layernorm.weight
        model.model.embed_tokens.weight += 0.5  # a direction that all tokens share
    optimizer = torch.optim.AdamW([gate], lr=0.005)

    def busiest():
        objective(model, whole)
        found = objective.observed(ALONE)
        return max(share for name, share in found.items() if name.startswith("expert_use"))

    before = busiest()
    for _ in range(80):
        optimizer.zero_grad()
        objective(model, whole)["load_balance"].backward()
        optimizer.step()
    objective.observed(ALONE)
    assert before > 0.45, "nothing was out of balance"
    assert busiest() < 0.4
