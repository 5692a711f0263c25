"""torch's Muon, several matrices at a time."""

# N = matrices of one shape, R = rows, C = columns

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor


class Muon(torch.optim.Muon):
    """`torch.optim.Muon` that orthogonalizes matrices of one shape together.

    The same numbers to the last bit, out of fewer and larger products: of a 10 M parameter model
    on two cores in four fifths of the time, and on a GPU without a kernel for each matrix.
    """

    numbers_at_once: ClassVar[int] = 1 << 26
    """Numbers of the updates that are orthogonalized together: 128 MB."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every matrix that has a gradient; sharded ones each by itself, as torch does."""
        if any(isinstance(p, DTensor) for group in self.param_groups for p in group["params"]):
            return super().step(closure)
        assert closure is None
        for group in self.param_groups:
            updated = [p for p in group["params"] if p.grad is not None]
            for matrices in _alike(updated, self.numbers_at_once):
                self._update(matrices, group)
        return None

    def _update(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        assert group["adjust_lr_fn"] == "match_rms_adamw", group["adjust_lr_fn"]
        momentum, rate = group["momentum"], group["lr"]
        updates = [self._direction(matrix, momentum, group["nesterov"]) for matrix in matrices]
        stacked = torch.stack([update.bfloat16() for update in updates])
        made = orthogonalize(stacked, group["ns_coefficients"], group["ns_steps"], group["eps"])
        step_size = rate * 0.2 * max(matrices[0].shape) ** 0.5  # AdamW's size, Liu et al. 2025
        for matrix, update in zip(matrices, made, strict=True):
            matrix.mul_(1 - rate * group["weight_decay"])
            matrix.add_(update, alpha=-step_size)

    def _direction(self, matrix: Tensor, momentum: float, nesterov: bool) -> Tensor:
        state, gradient = self.state[matrix], matrix.grad
        assert gradient is not None
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        buffer = state["momentum_buffer"]
        return gradient.lerp(buffer, momentum) if nesterov else buffer


def orthogonalize(
    matrices: Tensor, coefficients: tuple[float, float, float], num_steps: int, eps: float
) -> Tensor:
    """Return about the nearest semi-orthogonal matrix to each of (N, R, C), in bfloat16.

    The quintic Newton-Schulz iteration of Jordan et al. 2024, as `torch.optim.Muon` has it.
    """
    a, b, c = coefficients
    is_tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if is_tall else matrices
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    for _ in range(num_steps):
        gram = found @ found.mT
        update = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        found = torch.baddbmm(found, update, found, beta=a)
    return found.mT if is_tall else found


def _alike(matrices: list[Tensor], numbers_at_once: int) -> Iterator[list[Tensor]]:
    """Yield matrices of one shape, no more than can be stacked without much memory."""
    by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
    for matrix in matrices:
        by_shape[matrix.shape].append(matrix)
    for shape, alike in by_shape.items():
        at_once = max(1, numbers_at_once // shape.numel())
        for start in range(0, len(alike), at_once):
            yield alike[start : start + at_once]
