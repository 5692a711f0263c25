"""Muon on several matrices at a time is torch's on each."""

import pytest
import torch

from components.lib.training import muon

SHAPES = [(24, 24), (24, 24), (64, 24), (24, 64), (64, 24), (1, 24), (24, 64), (24, 24)]


def trained(kind, num_steps: int = 4, **options) -> list[torch.Tensor]:
    torch.manual_seed(0)
    matrices = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    optimizer = kind(matrices, lr=0.1, adjust_lr_fn="match_rms_adamw", **options)
    for step in range(num_steps):
        for number, matrix in enumerate(matrices):
            matrix.grad = torch.randn_like(matrix) if (step + number) % 5 else None
        optimizer.step()
    return [matrix.detach() for matrix in matrices]


@pytest.mark.parametrize("options", [{}, {"nesterov": False}, {"weight_decay": 0.0}])
@pytest.mark.parametrize("at_once", [1 << 26, 1, 2 * 24 * 24])
def test_the_numbers_are_torchs_to_the_last_bit(options, at_once):
    class Muon(muon.Muon):
        numbers_at_once = at_once

    pairs = zip(trained(Muon, **options), trained(torch.optim.Muon, **options), strict=True)
    for found, expected in pairs:
        assert torch.equal(found, expected)


def test_the_update_is_about_the_nearest_semi_orthogonal_matrix():
    torch.manual_seed(0)
    matrices = torch.randn(3, 40, 16)
    found = muon.orthogonalize(matrices, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    for matrix, made in zip(matrices.double(), found.double(), strict=True):
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        values = torch.linalg.svdvals(made)
        assert 0.5 < float(values.min()) <= float(values.max()) < 1.5
        assert float(((left @ right) * made).sum() / (left @ right).norm() / made.norm()) > 0.97
