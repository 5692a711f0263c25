"""Prune: a model and some text -> the same model with a share of its weights at zero."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from components.compress.pruning.calibration import Calibration
from components.compress.pruning.methods import Magnitude, SparseGPT, Target, Wanda
from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TokenShards
from components.core.artifacts.models import Checkpoint
from components.core.artifacts.reports import SensitivityReport
from components.core.component import Component
from components.core.files import size_of, write_json
from components.core.settings import settings
from components.lib.models.patterns import Pattern, group_of

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from components.lib.models.sparsity import Matrix

logger = logging.getLogger(__name__)

PRUNED = "pruned.json"

_VALIDATION_SEQUENCES = 32
_TOLERANCE = 0.01  # of the share of zeros: counts of rows and columns are whole numbers


class PruneInputs(Frozen):
    """What `Prune` reads."""

    model: Checkpoint
    """The model to prune."""
    shards: TokenShards
    """Documents as tokens of this model: it is pruned on some of the train split."""
    sensitivity: SensitivityReport | None = None
    """By which each matrix gets as sparse as costs least; without one the method decides."""


class Layer(Frozen):
    """What became of a matrix."""

    name: str
    """Of its module."""
    shape: tuple[int, int]
    """Outputs and inputs."""
    sparsity: float
    """Share of its weights that are zero."""
    output_error: float
    """Squared error of its outputs on the calibration text, as a share of their squares."""


class Prune(Component[PruneInputs, Checkpoint]):
    """Set weights of the blocks' linear layers to zero, block by block, in one pass.

    Each block is pruned on what the pruned blocks before it make of the calibration text.
    Embeddings, output head and norms stay. Writes a model and tokenizer in Hugging Face layout, and
    `pruned.json`: the sparsity and output error of each layer, and bits per byte before and after.
    """

    version: ClassVar[str] = "1.0.0"

    method: SparseGPT | Wanda | Magnitude = SparseGPT()
    """How the weights that go are chosen, and whether the others make up for them."""
    sparsity: float = Field(default=0.5, gt=0, lt=1)
    """Share of the weights of all linear layers together that go."""
    pattern: Pattern = "unstructured"
    """`2:4` and `4:8` keep 2 of each 4 and 4 of each 8 weights of a row, as GPUs multiply fast."""
    calibration: Calibration = Calibration()
    """The text."""

    @model_validator(mode="after")
    def _pattern_is_half(self) -> Self:
        if self.pattern != "unstructured":
            if self.sparsity != 0.5:
                raise ValueError(
                    f"pattern={self.pattern} has a sparsity of 0.5, not {self.sparsity:g}. Leave "
                    "sparsity out, or take pattern=unstructured."
                )
            if self.method.spreads:
                raise ValueError(
                    f"pattern={self.pattern} prunes all layers alike, so scope=global has no "
                    "meaning. Take scope=layer."
                )
        return self

    def run(self, inputs: PruneInputs, out: Path) -> Checkpoint:
        """Prune, check that what should be sparse is and that the model still computes, and save.

        Raises:
            ValueError: there is too little calibration text, the model has layers that cannot be
                pruned so, or what comes out is no model any more.
        """
        import torch

        from components.lib.device import move
        from components.lib.inference.held_out import HeldOut
        from components.lib.inference.torch_model import TorchModel
        from components.lib.models.folders import load_model, save_model

        torch.set_num_threads(settings().num_threads)
        ids = self.calibration.read(inputs.shards, inputs.model)
        model = move(load_model(inputs.model.path))
        targets = self._targets(model, inputs.sensitivity, ids.numel())
        text = HeldOut(
            inputs.shards,
            "validation",
            self.calibration.sequence_length,
            _VALIDATION_SEQUENCES,
        )
        before = text.bits_per_byte(TorchModel(model))
        layers = self._prune(model, ids, targets)
        self._check(model, layers, targets, ids)
        after = text.bits_per_byte(TorchModel(model))
        save_model(model, inputs.model.path, out)
        told = {
            "layers": [layer.model_dump() for layer in layers],
            "sparsity": _overall(layers),
            "bits_per_byte": {"before": before, "after": after},
        }
        write_json(out / PRUNED, told)
        return Checkpoint(
            path=out,
            num_parameters=inputs.model.num_parameters,
            num_active_parameters=inputs.model.num_active_parameters,
            flops_per_token=inputs.model.flops_per_token,
            bytes_on_disk=size_of(out, "*.safetensors"),
        )

    def _targets(
        self, model: "PreTrainedModel", report: SensitivityReport | None, num_tokens: int
    ) -> dict[str, Target]:
        """Return how sparse each matrix is to be."""
        from components.compress.pruning.table import Table, spread
        from components.lib.models.sparsity import prunable, require_pattern

        weights = {matrix.name: matrix.weight for matrix in prunable(model)}
        require_pattern(weights, self.pattern)
        widest = max(weight.shape[1] for weight in weights.values())
        if num_tokens < (least := self.method.least_tokens(widest)):
            raise ValueError(
                f"The calibration text has {num_tokens} tokens, and {type(self.method).__name__} "
                f"needs at least the {least} inputs of the widest layer. Raise num_sequences or "
                "sequence_length."
            )
        if report is None:
            shares = self.method.shares(weights, self.sparsity)
        elif self.method.spreads or self.pattern != "unstructured":
            raise ValueError(
                "A sensitivity report says how sparse each layer gets, which scope=global and a "
                f"pattern ({self.pattern}) decide too. Leave one of them out."
            )
        else:
            sizes = {name: weight.numel() for name, weight in weights.items()}
            shares = spread(Table.read(report.path), sizes, self.sparsity)
        return {name: Target(share, group_of(self.pattern)) for name, share in shares.items()}

    def _prune(
        self, model: "PreTrainedModel", ids: "Tensor", targets: dict[str, Target]
    ) -> list[Layer]:
        """Prune every block in turn, in place."""
        from components.compress.pruning.walk import Moments, Walk
        from components.lib.models.sparsity import prunable

        layers: list[Layer] = []
        matrices = prunable(model)
        with Walk(model) as walk:
            states = walk.embed(ids)
            for number in range(len(walk.blocks)):
                ours = [matrix for matrix in matrices if matrix.block == number]
                with Moments(ours) as moments:
                    walk.through(number, ids, states)
                for matrix in ours:
                    layers.append(self._prune_one(matrix, moments.of(matrix), targets[matrix.name]))
                states = walk.through(number, ids, states)
                logger.info("pruned block %d of %d", number + 1, len(walk.blocks))
        return layers

    def _prune_one(self, matrix: "Matrix", moments: "Tensor", target: Target) -> Layer:
        from components.lib.models.sparsity import sparsity

        before = matrix.weight.clone()
        matrix.weight.copy_(self.method.prune(before, moments, target))
        lost = before - matrix.weight
        outputs, inputs = before.shape
        return Layer(
            name=matrix.name,
            shape=(outputs, inputs),
            sparsity=sparsity(matrix.weight),
            output_error=_energy(lost, moments) / max(_energy(before, moments), 1e-30),
        )

    def _check(
        self,
        model: "PreTrainedModel",
        layers: list[Layer],
        targets: dict[str, Target],
        ids: "Tensor",
    ) -> None:
        from components.compress.pruning.proof import require_output
        from components.lib.models.sparsity import has_pattern, prunable

        for layer, matrix in zip(layers, prunable(model), strict=True):
            is_sparse = layer.sparsity >= targets[layer.name].share - _TOLERANCE
            assert is_sparse, f"{layer.name} has {layer.sparsity:.3f} zeros"
            assert has_pattern(matrix.weight, self.pattern), layer.name
        if abs(_overall(layers) - self.sparsity) > _TOLERANCE:
            raise ValueError(
                f"{_overall(layers):.3f} of the weights are zero instead of {self.sparsity:g}: the "
                "model had zeros before. Ask for more than it has."
            )
        require_output(model, ids[:1], f"sparsity={self.sparsity:g}")


def _overall(layers: list[Layer]) -> float:
    sizes = [layer.shape[0] * layer.shape[1] for layer in layers]
    zeros = sum(layer.sparsity * size for layer, size in zip(layers, sizes, strict=True))
    return zeros / sum(sizes)


def _energy(weight: "Tensor", moments: "Tensor") -> float:
    """Return the sum of squares of what (O, I) makes of all inputs with these moments (I, I)."""
    return float(((weight @ moments) * weight).sum())
