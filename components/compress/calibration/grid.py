"""Symmetric 4-bit grids: 16 values a block, from -8 to 7 times a scale."""

# R = rows, K = weights of a block

import torch
from torch import Tensor

LEAST, MOST = -8, 7
_SHRUNK = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75)  # of the scale that holds the largest weight


def nearest_scale(block: Tensor) -> Tensor:
    """Return the scale (R,) that maps the largest weight of each row (R, K) to -8.

    It is the scale of ONNX Runtime's own rounding, and of llama.cpp's Q4_0.
    """
    largest = block.gather(1, block.abs().argmax(dim=1, keepdim=True))[:, 0]
    return _nonzero(largest / LEAST)


def searched_scale(block: Tensor, weight: Tensor) -> Tensor:
    """Return the scale (R,) of the least weighted square error, of some that cut the largest.

    `weight` (K,) is how much an error in each column counts.
    """
    full = nearest_scale(block)
    best, least = full, torch.full_like(full, torch.inf)
    for share in _SHRUNK:
        for sign in (1.0, -1.0):
            scale = full * share * sign
            error = ((rounded(block, scale) * scale[:, None] - block).square() * weight).sum(dim=1)
            best = torch.where(error < least, scale, best)
            least = torch.minimum(error, least)
    return best


def rounded(values: Tensor, scale: Tensor) -> Tensor:
    """Return the integers (R, K) nearest to values (R, K) over the scale (R,) of their row."""
    return (values / scale[:, None]).round().clamp(LEAST, MOST)


def to_nearest(weight: Tensor, block_size: int) -> Tensor:
    """Return weights (R, C) rounded to nearest in blocks, as floats."""
    blocks = weight.reshape(-1, block_size)
    scale = nearest_scale(blocks)
    return (rounded(blocks, scale) * scale[:, None]).reshape(weight.shape)


def _nonzero(scale: Tensor) -> Tensor:
    return torch.where(scale == 0, torch.ones_like(scale), scale)
