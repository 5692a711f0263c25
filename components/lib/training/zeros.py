"""Weights that are zero stay zero, and others become it."""

# O = outputs of a linear map, I = its inputs

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from components.lib.group import Group
from components.lib.models.sparsity import Matrix, prunable, smallest, sparsity
from components.lib.training.constraint import Constraint
from components.lib.training.hyperparameters import Hyperparameters
from components.lib.training.sparsify import Gradual, SoftThreshold


class HeldZeros(Constraint):
    """Holds at zero every weight of the blocks' linear layers that is zero.

    The weights themselves say which: a checkpoint need not, and a resumed, sharded or rolled back
    training holds the same. A held weight has no gradient, so that it counts neither in the norm
    that gradients are clipped by nor in the direction that Muon takes for its matrix.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Look at the layers of `model` that can be sparse."""
        self._matrices = prunable(model)
        self._kept: list[Tensor] = []

    @torch.no_grad()
    def before(self) -> None:
        """Take the gradient of what is zero away, and note what is not."""
        self._kept = [_local(matrix.parameter) != 0 for matrix in self._matrices]
        for matrix, kept in zip(self._matrices, self._kept, strict=True):
            if (gradient := matrix.parameter.grad) is not None:
                _local(gradient).mul_(kept)  # no number stays none: the step will not be trusted

    @torch.no_grad()
    def after(self, num_steps: int, rate_share: float) -> None:
        """Set to zero what was zero: weights move by what the optimizer remembers, too."""
        for matrix, kept in zip(self._matrices, self._kept, strict=True):
            _local(matrix.parameter).masked_fill_(~kept, 0.0)

    @torch.no_grad()
    def observed(self, group: Group) -> dict[str, float]:
        """Return the share of weights that are zero."""
        parts = [_local(matrix.parameter) for matrix in self._matrices]
        sums = [sum(part.numel() for part in parts)]
        sums += [sum(int(part.count_nonzero()) for part in parts)]
        size, nonzero = group.sum_integers(sums, parts[0].device)
        return {"sparsity": 1 - nonzero / size}


class GradualZeros(HeldZeros):
    """Holds zeros, and makes more by a schedule."""

    def __init__(
        self, model: PreTrainedModel, schedule: Gradual, training: Hyperparameters
    ) -> None:
        """Begin with the zeros that `model` has, before it is trained."""
        super().__init__(model)
        self._schedule, self._num_steps = schedule, training.num_steps
        self._initial = [sparsity(matrix.weight) for matrix in self._matrices]

    @torch.no_grad()
    def after(self, num_steps: int, rate_share: float) -> None:
        """Hold the zeros, and let the weights nearest to zero join them when it is time."""
        super().after(num_steps, rate_share)
        if not self._schedule.is_due(num_steps, self._num_steps):
            return
        for matrix, initial in zip(self._matrices, self._initial, strict=True):
            share = self._schedule.sparsity(num_steps, self._num_steps, initial)
            _zero_smallest(matrix, share)


class ThresholdedZeros(HeldZeros):
    """Holds zeros, and moves all other weights toward them."""

    def __init__(
        self, model: PreTrainedModel, penalty: SoftThreshold, training: Hyperparameters
    ) -> None:
        """Move them by the learning rate of `training`."""
        super().__init__(model)
        self._step = training.learning_rate * penalty.strength

    @torch.no_grad()
    def after(self, num_steps: int, rate_share: float) -> None:
        """Hold the zeros, and take the proximal step."""
        super().after(num_steps, rate_share)
        for matrix in self._matrices:
            weight = _local(matrix.parameter)
            weight.copy_(nn.functional.softshrink(weight, self._step * rate_share))


def held_zeros(
    model: PreTrainedModel, sparsify: Gradual | SoftThreshold | None, training: Hyperparameters
) -> HeldZeros:
    """Return what holds the zeros of `model`, and makes more as `sparsify` says."""
    match sparsify:
        case Gradual():
            return GradualZeros(model, sparsify, training)
        case SoftThreshold():
            return ThresholdedZeros(model, sparsify, training)
        case None:
            return HeldZeros(model)


def _local(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this process holds; what is written to it stays."""
    kept = tensor.detach()
    return kept.to_local() if isinstance(kept, DTensor) else kept


def _zero_smallest(matrix: Matrix, share: float) -> None:
    """Set the `share` of a matrix's weights that is nearest to zero to zero; sharded, together."""
    parameter = matrix.parameter.detach()
    whole = parameter.full_tensor() if isinstance(parameter, DTensor) else parameter
    gone = smallest(whole.abs().reshape(1, -1), round(share * whole.numel())).view_as(whole)
    if isinstance(parameter, DTensor):
        spread = distribute_tensor(gone.byte(), parameter.device_mesh, parameter.placements)
        gone = spread.to_local().bool()
    _local(matrix.parameter).masked_fill_(gone, 0.0)
