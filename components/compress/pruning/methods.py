"""The methods that choose which weights of a matrix go: each is one class."""

# O = outputs of a linear map, I = its inputs

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from components.core.artifacts.base import Frozen

if TYPE_CHECKING:
    from torch import Tensor


class Target(NamedTuple):
    """How sparse a matrix is to be."""

    share: float
    """Of its weights that go, 0 to 1."""
    group: tuple[int, int] | None = None
    """N and M, where N of each M weights of a row stay."""


class Method(Frozen, ABC):
    """One method."""

    @abstractmethod
    def prune(self, weight: "Tensor", moments: "Tensor", target: Target) -> "Tensor":
        """Return the weights (O, I) with zeros; `moments` (I, I) is the sum of x x^T of inputs."""

    def shares(self, weights: Mapping[str, "Tensor"], sparsity: float) -> dict[str, float]:
        """Return the share of each matrix that goes so that `sparsity` of all does: all alike."""
        return dict.fromkeys(weights, sparsity)

    @property
    def spreads(self) -> bool:
        """Whether it decides itself how sparse each matrix gets."""
        return False

    def least_tokens(self, num_inputs: int) -> int:
        """Return how much text it needs for matrices with at most `num_inputs` inputs, in tokens.

        With less than one token the text is used for the report alone.
        """
        return 1


class Magnitude(Method):
    """The weights that are nearest to zero go (Han et al. 2015): no text is looked at."""

    scope: Literal["layer", "global"] = "layer"
    """What weights are compared with: those of their matrix, or all of the model."""

    @property
    def spreads(self) -> bool:
        """Whether it decides itself how sparse each matrix gets."""
        return self.scope == "global"

    def prune(self, weight: "Tensor", moments: "Tensor", target: Target) -> "Tensor":
        """Return the weights (O, I) with zeros."""
        return _without(weight, _least(weight.abs(), target, by_row=False))

    def shares(self, weights: Mapping[str, "Tensor"], sparsity: float) -> dict[str, float]:
        """Return the share of each matrix that lies below one threshold for the whole model."""
        import torch

        if self.scope == "layer":
            return super().shares(weights, sparsity)
        every = torch.cat([weight.abs().flatten() for weight in weights.values()])
        threshold = every.kthvalue(max(1, round(sparsity * len(every)))).values
        return {n: float((w.abs() <= threshold).sum()) / w.numel() for n, w in weights.items()}


class Wanda(Method):
    """Weights go by their magnitude times the norm of their input (Sun et al. 2023, 2306.11695)."""

    compare: Literal["row", "layer"] = "row"
    """What a weight is compared with: the others of its output, as published, or of its matrix."""

    def prune(self, weight: "Tensor", moments: "Tensor", target: Target) -> "Tensor":
        """Return the weights (O, I) with zeros, the others as they were."""
        scores = weight.abs() * moments.diagonal().sqrt()
        return _without(weight, _least(scores, target, by_row=self.compare == "row"))


class SparseGPT(Method):
    """The weights that stay are changed to make up for those that go (Frantar & Alistarh 2023)."""

    damping: float = Field(default=0.01, gt=0)
    """Added to the diagonal of the inputs' second moments, as a share of its mean."""
    columns_at_once: int = Field(default=128, ge=8, multiple_of=8)
    """Columns of a matrix whose zeros are chosen together."""

    def prune(self, weight: "Tensor", moments: "Tensor", target: Target) -> "Tensor":
        """Return the weights (O, I) with zeros, the others changed."""
        from components.compress.pruning.second_order import inverse_factor, prune_columns

        factor = inverse_factor(moments, self.damping)
        met = weight.masked_fill(moments.diagonal() == 0, 0.0)  # the others multiply nothing
        return prune_columns(met, factor, target.share, target.group, self.columns_at_once)

    def least_tokens(self, num_inputs: int) -> int:
        """Return one token for each input: with fewer, some directions are never seen."""
        return num_inputs


def _least(scores: "Tensor", target: Target, *, by_row: bool) -> "Tensor":
    """Return where the lowest scores (O, I) are: in groups, in rows, or in all of the matrix."""
    from components.lib.models.sparsity import smallest

    if target.group is not None:
        kept, size = target.group
        return smallest(scores.reshape(-1, size), size - kept).view_as(scores)
    rows = scores if by_row else scores.reshape(1, -1)
    return smallest(rows, round(target.share * rows.shape[1])).view_as(scores)


def _without(weight: "Tensor", gone: "Tensor") -> "Tensor":
    return weight.masked_fill(gone, 0.0)
