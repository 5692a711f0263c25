"""SparseGPT: weights go one column at a time, and the columns to the right make up for each.

Frantar and Alistarh 2023, "SparseGPT: Massive language models can be accurately pruned in one-shot"
(arXiv 2301.00774), algorithm 1.
"""

# O = outputs of a linear map, I = its inputs, B = columns decided at once

import torch
from torch import Tensor

from components.lib.models.sparsity import smallest


def inverse_factor(moments: Tensor, damping: float) -> Tensor:
    """Return the upper Cholesky factor (I, I) of the inverse of damped `moments` (I, I).

    Row j of it, divided by its diagonal, says how the columns after j make up for column j when
    those before are settled. `damping` is added to the diagonal, as a share of its mean. An input
    that was always zero has a 1 there.

    Raises:
        ValueError: the matrix is still singular.
    """
    hessian = moments.double().clone()
    diagonal = hessian.diagonal()
    diagonal[diagonal == 0] = 1.0
    diagonal += damping * diagonal.mean()
    try:
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
        return torch.linalg.cholesky(inverse, upper=True).float()
    except RuntimeError as error:  # torch.linalg.LinAlgError is one
        raise ValueError(
            f"The inputs of a layer say too little to prune it by ({error}). Raise damping or the "
            "calibration's num_sequences."
        ) from error


def prune_columns(
    weight: Tensor,
    factor: Tensor,
    share: float,
    group: tuple[int, int] | None,
    at_once: int,
) -> Tensor:
    """Return the weights (O, I) with zeros, the others changed to make up for them.

    `factor` is an `inverse_factor`. Of each `at_once` columns the `share` that costs least is
    zeroed; with a `group` (N, M) all but N of each M weights of a row.
    """
    made = weight.float().clone()
    num_zeros, columns = 0, made.shape[1]
    for start in range(0, columns, at_once):
        end = min(start + at_once, columns)
        wanted = round(share * made.shape[0] * end)  # in all: roundings do not add up
        own = factor[start:end, start:end]
        errors = _prune_block(made[:, start:end], own, wanted - num_zeros, group)
        made[:, end:] -= errors @ factor[start:end, end:]
        num_zeros = wanted
    return made.to(weight.dtype)


def _prune_block(
    block: Tensor, factor: Tensor, num_zeros: int, group: tuple[int, int] | None
) -> Tensor:
    """Prune a block (O, B) in place; return the error of each column over its diagonal, (O, B)."""
    diagonal = factor.diagonal()
    errors = torch.zeros_like(block)
    gone = torch.zeros_like(block, dtype=torch.bool)
    if group is None:
        costs = (block / diagonal).square()
        gone = smallest(costs.reshape(1, -1), num_zeros).view_as(block)
    for column in range(block.shape[1]):
        if group is not None and column % group[1] == 0:
            of = slice(column, column + group[1])
            costs = (block[:, of] / diagonal[of]).square()
            gone[:, of] = smallest(costs, group[1] - group[0])
        lost = torch.where(gone[:, column], block[:, column], 0.0)
        errors[:, column] = lost / diagonal[column]
        block[:, column:] -= torch.outer(errors[:, column], factor[column, column:])
        block[:, column].masked_fill_(gone[:, column], 0.0)
    return errors
