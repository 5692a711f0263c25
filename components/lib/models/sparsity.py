"""Which matrices of a model can be sparse, which of their weights are zero, and in what pattern."""

# O = outputs of a linear map, I = its inputs, G = groups of weights, S = weights of a group

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from components.lib.models.parameters import by_kind
from components.lib.models.patterns import Pattern, group_of

_LEAST_COVERAGE = 0.9  # of the matrices in the blocks; a mixture's experts would be left out


class Matrix(NamedTuple):
    """The weights of one linear map of a block."""

    name: str
    """Of its module, such as `model.layers.0.mlp.up_proj`."""
    module: nn.Module
    block: int
    """Which block it is in."""

    @property
    def kind(self) -> str:
        """What it is in its block, such as `mlp.up_proj`: the same in every block."""
        return self.name.split(f".{self.block}.", 1)[1]

    @property
    def parameter(self) -> nn.Parameter:
        """The weights as they are stored."""
        module: Any = self.module
        return module.weight

    @property
    def weight(self) -> Tensor:
        """The weights (O, I), as a view: what is written to it is written to the model."""
        stored = self.parameter.detach()
        return stored.T if isinstance(self.module, Conv1D) else stored


def blocks_of(model: PreTrainedModel) -> nn.ModuleList:
    """Return the transformer blocks: the longest list of modules that there is."""
    return max((m for m in model.modules() if isinstance(m, nn.ModuleList)), key=len)


def prunable(model: PreTrainedModel) -> list[Matrix]:
    """Return the matrices of the blocks, in order; no embedding, output head, norm or router.

    Raises:
        ValueError: they are less than nine tenths of the blocks' matrices, as in a mixture of
            experts, which holds all experts of a layer in one stack.
    """
    hidden = {id(parameter) for parameter in by_kind(model)["hidden"]}
    prefix = next(name for name, found in model.named_modules() if found is blocks_of(model))
    found: list[Matrix] = []
    for number, block in enumerate(blocks_of(model)):
        for name, module in block.named_modules():
            if isinstance(module, nn.Linear | Conv1D) and id(module.weight) in hidden:
                found.append(Matrix(f"{prefix}.{number}.{name}", module, number))
    covered = sum(matrix.parameter.numel() for matrix in found)
    whole = sum(p.numel() for p in blocks_of(model).parameters() if p.ndim > 1)
    if covered < _LEAST_COVERAGE * whole:
        raise ValueError(
            f"Only {covered / whole:.0%} of the weights in the blocks of this "
            f"{type(model).__name__} are in linear layers that can be pruned. Take a model without "
            "a mixture of experts."
        )
    return found


def smallest(scores: Tensor, number: int) -> Tensor:
    """Return where the `number` smallest of each group are, for scores (G, S).

    Of equal ones the first.
    """
    order = scores.argsort(dim=1, stable=True)[:, :number]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, order, True)


def sparsity(weight: Tensor) -> float:
    """Return the share of weights that are zero."""
    return 1 - int(weight.count_nonzero()) / weight.numel()


def sparsity_of(model: PreTrainedModel) -> dict[str, float]:
    """Return the share of zeros of each matrix that can be sparse, by name."""
    return {matrix.name: sparsity(matrix.weight) for matrix in prunable(model)}


def has_pattern(weight: Tensor, pattern: Pattern) -> bool:
    """Return whether a matrix (O, I) keeps to N:M: at most N nonzero weights of each M inputs."""
    group = group_of(pattern)
    if group is None:
        return True
    kept, size = group
    return weight.shape[1] % size == 0 and bool(
        ((weight.reshape(-1, size) != 0).sum(1) <= kept).all()
    )


def require_pattern(matrices: Mapping[str, Tensor], pattern: Pattern) -> None:
    """Refuse matrices whose rows cannot be cut into groups of M.

    Raises:
        ValueError: a row is no multiple of M.
    """
    group = group_of(pattern)
    for name, weight in matrices.items():
        if group is not None and weight.shape[1] % group[1]:
            raise ValueError(
                f"{name} has {weight.shape[1]} inputs, no multiple of {group[1]}, so that it "
                f"cannot be pruned to {pattern}. Take pattern=unstructured."
            )
