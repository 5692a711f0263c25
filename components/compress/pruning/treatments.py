"""What is done to a part of a model to see what it costs."""

# O = outputs of a linear map, I = its inputs

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from components.compress.pruning.methods import Magnitude, SparseGPT, Target, Wanda
from components.core.artifacts.base import Frozen

if TYPE_CHECKING:
    from torch import Tensor


class Treatment(Frozen, ABC):
    """Something that is done to weights at one of several levels."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What the table calls it."""

    @property
    @abstractmethod
    def measured(self) -> tuple[float, ...]:
        """The levels that are measured, mildest first."""

    @abstractmethod
    def apply(self, weight: "Tensor", moments: "Tensor", level: float) -> "Tensor":
        """Return the weights (O, I) at a level; `moments` (I, I) is the sum of x x^T of inputs."""


class Sparser(Treatment):
    """Weights go: a level is the share of them."""

    method: Wanda | SparseGPT | Magnitude = Wanda()
    """How those that go are chosen."""
    levels: tuple[float, ...] = Field(default=(0.3, 0.5, 0.7), min_length=1)
    """Shares of the weights that go, each above 0 and below 1, rising."""

    @model_validator(mode="after")
    def _levels_rise(self) -> Self:
        if not all(0 < level < 1 for level in self.levels) or list(self.levels) != sorted(
            set(self.levels)
        ):
            raise ValueError(
                f"levels={self.levels}: give shares above 0 and below 1 that rise, such as "
                "(0.3, 0.5, 0.7)."
            )
        return self

    @property
    def name(self) -> str:
        """What the table calls it."""
        return type(self.method).__name__.lower()

    @property
    def measured(self) -> tuple[float, ...]:
        """The levels that are measured, mildest first."""
        return self.levels

    def apply(self, weight: "Tensor", moments: "Tensor", level: float) -> "Tensor":
        """Return the weights (O, I) with zeros."""
        return self.method.prune(weight, moments, Target(level))


class Rounded(Treatment):
    """Weights are rounded to nearest: a level is the number of bits."""

    bits: tuple[int, ...] = Field(default=(8, 4), min_length=1)
    """Numbers of bits, 2 to 8."""
    block_size: int = Field(default=32, ge=8)
    """Weights of a row that share a scale; the last block of a row may be shorter."""

    @model_validator(mode="after")
    def _bits_fit(self) -> Self:
        if not all(2 <= each <= 8 for each in self.bits):
            raise ValueError(f"bits={self.bits}: give numbers from 2 to 8.")
        return self

    @property
    def name(self) -> str:
        """What the table calls it."""
        return "rounded"

    @property
    def measured(self) -> tuple[float, ...]:
        """The levels that are measured, mildest first."""
        return tuple(sorted(self.bits, reverse=True))

    def apply(self, weight: "Tensor", moments: "Tensor", level: float) -> "Tensor":
        """Return the weights (O, I), symmetric: each block's largest is its largest step."""
        import torch

        largest = 2 ** (int(level) - 1) - 1
        padded = -weight.shape[1] % self.block_size
        blocks = torch.nn.functional.pad(weight, (0, padded)).view(len(weight), -1, self.block_size)
        scale = blocks.abs().amax(-1, keepdim=True).clamp(min=1e-12) / largest
        rounded = (blocks / scale).round().clamp(-largest, largest) * scale
        return rounded.view(len(weight), -1)[:, : weight.shape[1]]
