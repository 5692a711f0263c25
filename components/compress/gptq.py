"""GPTQ: each weight is rounded so that those after it make up for its error."""

# R = rows, C = columns of a matrix, K = weights of a block

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from components.compress.calibration.inputs import CalibrationInputs
from components.compress.rounding import BLOCK, ZERO, Rounded, write_rounding
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.settings import settings

if TYPE_CHECKING:
    from torch import Tensor


class GPTQ(Component[CalibrationInputs, Checkpoint]):
    """Choose the 4-bit integers of a model's matrices on calibration text (Frantar et al. 2023).

    Layer by layer, each with the inputs that the rounded layers before it give. Writes the model
    with the weights that the integers stand for, in float32, and `rounding.bin`, by which
    `compress.quantize` at 4 bits exports these very integers.
    """

    version: ClassVar[str] = "1.0.0"

    num_sequences: int = Field(default=32, ge=1)
    """Of calibration text, taken evenly from the train split."""
    sequence_length: int = Field(default=256, ge=8)
    """Tokens of each."""
    damping: float = Field(default=0.01, gt=0)
    """Added to the diagonal of X'X, as a share of its mean, so that it can be inverted."""

    def run(self, inputs: CalibrationInputs, out: Path) -> Checkpoint:
        """Round the layers one after the other and save the model.

        Raises:
            ValueError: there is too little text, it is of another vocabulary, or a matrix has
                columns that are no multiple of 32.
        """
        import torch

        from components.compress.calibration.walk import calibration_ids, linears, walk
        from components.lib.models.folders import describe, load_model, save_model

        torch.set_num_threads(settings().num_threads)
        ids = calibration_ids(inputs, self.num_sequences, self.sequence_length)
        model = load_model(inputs.model.path)
        found = Rounded({}, {})
        for layer in walk(model, ids):
            for name, linear in linears(layer.module).items():
                integers, scales = solve(linear.weight, layer.products[name], self.damping)
                linear.weight.data.copy_(_floats(integers, scales))
                key = f"{layer.prefix}{name}.weight"
                found.integers[key] = (integers + ZERO).to(torch.uint8).numpy()
                found.scales[key] = scales.numpy()
        save_model(model, inputs.model.path, out)
        write_rounding(out, found)
        return describe(out, self.sequence_length)


def solve(weight: "Tensor", product: "Tensor", damping: float) -> tuple["Tensor", "Tensor"]:
    """Return integers (R, C) from -8 to 7 and scales (R, C / 32) for a weight (R, C).

    `product` is X'X (C, C) of the inputs. Columns are rounded from left to right, and what a column
    is off by is taken from those to its right: Frantar et al. 2023, algorithm 1, by the upper
    Cholesky factor of the inverse.

    Raises:
        ValueError: the columns are no multiple of 32.
    """
    import torch

    from components.compress.calibration.grid import rounded, searched_scale

    rows, columns = weight.shape
    if columns % BLOCK:
        raise ValueError(
            f"A matrix has {columns} columns, and {BLOCK} share a scale: train with a multiple of "
            f"{BLOCK}, or round to nearest."
        )
    left = weight.detach().clone().double()
    factor = _factor(product.double(), damping)
    integers = torch.empty((rows, columns), dtype=torch.float64)
    scales = torch.empty((rows, columns // BLOCK), dtype=torch.float64)
    for start in range(0, columns, BLOCK):
        places = range(start, start + BLOCK)
        cost = factor.diagonal()[start : start + BLOCK] ** -2
        scale = searched_scale(left[:, start : start + BLOCK], cost).float().double()
        scales[:, start // BLOCK] = scale
        errors = torch.empty((rows, BLOCK), dtype=torch.float64)
        for place in places:
            column = left[:, place]
            integers[:, place] = rounded(column[:, None], scale)[:, 0]
            error = (column - integers[:, place] * scale) / factor[place, place]
            left[:, place : start + BLOCK] -= error[:, None] * factor[place, place : start + BLOCK]
            errors[:, place - start] = error
        left[:, start + BLOCK :] -= errors @ factor[start : start + BLOCK, start + BLOCK :]
    return integers.to(torch.int8), scales.float()


def _factor(product: "Tensor", damping: float) -> "Tensor":
    """Return the upper Cholesky factor of the inverse of X'X, damped."""
    import torch

    mean = product.diagonal().mean()
    damped = product + torch.eye(len(product), dtype=product.dtype) * (damping * mean + 1e-12)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True)


def _floats(integers: "Tensor", scales: "Tensor") -> "Tensor":
    blocks = integers.float().reshape(len(integers), -1, BLOCK)
    return (blocks * scales[..., None]).reshape(integers.shape)
