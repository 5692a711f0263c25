"""Zeros stay zero through every step, and others join them by their schedule."""

import os
from pathlib import Path

import pytest
import torch

from components.lib.group import Group
from components.lib.models.sparsity import prunable, smallest, sparsity_of
from components.lib.training.fit import fit
from components.lib.training.sparsify import Gradual, SoftThreshold
from components.lib.training.zeros import held_zeros
from tests.components.lib import toy


def sparse(share: float = 0.5, seed: int = 0):
    """A model of which a share of each layer is zero; those that would begin at zero do not."""
    model, random = toy.model(seed), torch.Generator().manual_seed(5)
    for matrix in prunable(model):
        drawn = torch.randn(matrix.weight.shape, generator=random) * 0.05
        gone = smallest(drawn.abs().reshape(1, -1), round(share * drawn.numel()))
        matrix.weight.copy_(drawn.masked_fill(gone.view_as(drawn), 0.0))
    return model


def trained(folder: Path, model, sparsify=None, **changes):
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    training = toy.plan(**{"num_steps": 12, **changes})
    task = toy.task(toy.Echoes())._replace(constraint=held_zeros(model, sparsify, training))
    fit(model, task, training, folder)
    return model


def zeros(model) -> dict[str, torch.Tensor]:
    return {matrix.name: matrix.weight == 0 for matrix in prunable(model)}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("micro_batch_size", [16, 3])
def test_the_mask_is_the_same_to_the_bit_after_training(tmp_path, optimizer, micro_batch_size):
    before = zeros(sparse())
    changes = {"optimizer": optimizer, "weight_decay": 0.1, "micro_batch_size": micro_batch_size}
    model = trained(tmp_path, sparse(), **changes)
    after = zeros(model)
    assert all(torch.equal(after[name], mask) for name, mask in before.items())
    for old, new in zip(prunable(sparse()), prunable(model), strict=True):
        kept = ~before[new.name]
        assert (old.weight[kept] != new.weight[kept]).float().mean() > 0.99
    assert not any(torch.signbit(m.weight[m.weight == 0]).any() for m in prunable(model))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_without_it_the_zeros_would_be_lost(tmp_path, optimizer):
    model = sparse()
    fit(model, toy.task(toy.Echoes()), toy.plan(num_steps=2, optimizer=optimizer), tmp_path)
    assert max(sparsity_of(model).values()) < 0.01


def test_a_held_weight_has_no_gradient_in_the_norm():
    model = sparse()
    held = held_zeros(model, None, toy.plan())
    for matrix in prunable(model):
        matrix.parameter.grad = torch.ones_like(matrix.parameter)
    held.before()
    for matrix in prunable(model):
        assert torch.equal(matrix.parameter.grad != 0, matrix.weight != 0)


def test_a_gradient_that_is_no_number_stays_none():
    model = sparse()
    held = held_zeros(model, None, toy.plan())
    for matrix in prunable(model):
        matrix.parameter.grad = torch.full_like(matrix.parameter, float("nan"))
    held.before()
    assert all(matrix.parameter.grad.isnan().all() for matrix in prunable(model))


def test_the_sparsity_rises_as_the_cubic_of_the_paper(tmp_path):
    schedule = Gradual(final_sparsity=0.8, begin=0.25, end=0.75, every=2)
    model = trained(tmp_path, sparse(0.2), schedule, num_steps=16)
    found = toy.column(tmp_path, "model.sparsity")
    for step, share in enumerate(found, start=1):
        last = step - step % 2  # the last step that made zeros
        part = min(max((last - 4) / 8, 0.0), 1.0)
        assert share == pytest.approx(0.8 + (0.2 - 0.8) * (1 - part) ** 3, abs=2e-3), step
    assert all(share == pytest.approx(0.8, abs=2e-3) for share in sparsity_of(model).values())


def test_the_weights_nearest_to_zero_join_the_zeros():
    model = sparse(0.2)
    held = held_zeros(model, Gradual(final_sparsity=0.6, end=0.5, every=1), toy.plan(num_steps=4))
    matrix = prunable(model)[3]
    expected = matrix.weight.abs().flatten().sort().values[round(0.6 * matrix.weight.numel()) - 1]
    kept = matrix.weight.abs() > expected
    held.before()
    held.after(2, 1.0)
    assert torch.equal(matrix.weight != 0, kept)


def test_the_l1_step_is_the_proximal_operator_and_makes_true_zeros(tmp_path):
    model = sparse(0.1)
    held = held_zeros(model, SoftThreshold(strength=0.5), toy.plan(learning_rate=0.02))
    before = prunable(model)[0].weight.clone()
    held.before()
    held.after(1, 0.5)
    moved = before.sign() * (before.abs() - 0.02 * 0.5 * 0.5).clamp(min=0.0)
    assert torch.allclose(prunable(model)[0].weight, moved, atol=1e-7)
    found = trained(tmp_path, sparse(0.1), SoftThreshold(strength=0.5))
    assert min(sparsity_of(found).values()) > 0.12


def test_a_killed_and_resumed_training_makes_and_keeps_the_same_zeros(tmp_path):
    schedule = Gradual(final_sparsity=0.7, end=0.8, every=3)
    whole = trained(tmp_path / "whole", sparse(0.2), schedule, checkpoint_every=4)

    class Stop(Exception):
        pass

    def stop():
        raise Stop

    model, training = sparse(0.2), toy.plan(num_steps=12, checkpoint_every=4)
    (tmp_path / "halves").mkdir()
    task = toy.task(toy.Trap(at=7, then=stop))
    with pytest.raises(Stop):
        fit(
            model,
            task._replace(constraint=held_zeros(model, schedule, training)),
            training,
            tmp_path / "halves",
        )
    again = trained(tmp_path / "halves", sparse(0.2), schedule, checkpoint_every=4)
    for one, other in zip(prunable(whole), prunable(again), strict=True):
        assert torch.equal(one.weight, other.weight), one.name
    assert toy.points(tmp_path / "whole") == toy.points(tmp_path / "halves")


def _in_group(rank: int, folder: str, layout: str) -> None:
    os.environ |= {"BLOOMERY_DATA_PARALLEL": layout, "GLOO_SOCKET_IFNAME": "lo"}
    os.environ |= {"CUDA_VISIBLE_DEVICES": "", "BLOOMERY_OWNER": folder}
    toy.settings.cache_clear()
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    torch.set_num_threads(1)
    model, training = sparse(0.2), toy.plan(num_steps=6)
    task = toy.task(toy.Echoes())
    held = held_zeros(model, Gradual(final_sparsity=0.6, end=0.8, every=2), training)

    def finish(weights: dict[str, torch.Tensor]) -> None:
        torch.save(weights, Path(folder) / "weights.pt")

    fit(model, task._replace(constraint=held), training, Path(folder), finish)
    observed = held.observed(Group.current())
    if rank == 0:
        torch.save(observed, Path(folder) / "observed.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["shard", "replicate"])
def test_two_processes_hold_and_make_the_same_zeros(tmp_path, layout):
    torch.multiprocessing.spawn(_in_group, (str(tmp_path), layout), nprocs=2)
    weights = torch.load(tmp_path / "weights.pt")
    alone = trained(
        tmp_path / "alone",
        sparse(0.2),
        Gradual(final_sparsity=0.6, end=0.8, every=2),
        num_steps=6,
    )
    for matrix in prunable(alone):
        found = weights[f"{matrix.name}.weight"]
        assert int((found == 0).sum()) == int((matrix.weight == 0).sum()), matrix.name
        assert ((found == 0) != (matrix.weight == 0)).float().mean() < 0.02, matrix.name
    assert torch.load(tmp_path / "observed.pt")["sparsity"] == pytest.approx(0.6, abs=0.01)
