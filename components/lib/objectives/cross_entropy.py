"""Cross-entropy on a CPU, some rows at a time: no copy of all logits in float32."""

# N = positions, V = vocabulary

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from components.lib.examples.batches import IGNORED

_NUMBERS_AT_ONCE = 1 << 18  # 4 MB in float32: they stay in the cache


def summed_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Return -ln p of the targets (N,), summed, for logits (N, V) in any precision.

    Computed in float32, with the gradient of `torch.nn.functional.cross_entropy` but for rounding.
    """
    made: Any = _SummedNats.apply(logits, targets)
    return made


class _SummedNats(torch.autograd.Function):
    """Keeps the logits as they are, and the normaliser of each row."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the sum, a scalar in float32."""
        normalisers, picked = torch.empty(2, len(logits))  # (N,)
        is_learnt = targets != IGNORED
        indices = targets.where(is_learnt, 0)
        for rows in parts(logits):
            some = logits[rows].float()
            normalisers[rows] = some.logsumexp(1)
            picked[rows] = some.gather(1, indices[rows, None])[:, 0]
        ctx.save_for_backward(logits, indices, is_learnt, normalisers)
        return (normalisers - picked).where(is_learnt, 0.0).sum()

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore - torch's decorator hides the parameters' names
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, None]:
        """Return the gradient of the logits: softmax less 1 at the target."""
        logits, indices, is_learnt, normalisers = ctx.saved_tensors
        weights = gradients[0] * is_learnt  # (N,)
        of_logits = torch.empty_like(logits)
        for rows in parts(logits):
            some = logits[rows].float().sub_(normalisers[rows, None]).exp_()
            some.scatter_add_(1, indices[rows, None], some.new_full((len(some), 1), -1.0))
            of_logits[rows] = some.mul_(weights[rows, None])
        return of_logits, None


def parts(logits: Tensor) -> Iterator[slice]:
    """Yield the rows of logits (N, V) that are computed at once."""
    size = max(1, _NUMBERS_AT_ONCE // logits.shape[1])
    for start in range(0, len(logits), size):
        yield slice(start, start + size)
