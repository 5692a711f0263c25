"""Shrink: a model and some text -> a smaller dense model, without the heads, neurons or layers."""

import logging
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

from components.compress.pruning.calibration import Calibration
from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TokenShards
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.files import write_json
from components.core.settings import settings

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from components.compress.pruning.structure import Kept, Sizes
    from components.compress.pruning.walk import Walk
    from components.lib.models.sparsity import Matrix

logger = logging.getLogger(__name__)

SHRUNK = "shrunk.json"

_MOST_STEP = 32  # widths stay multiples of what they are multiples of, up to a block of the export
_VALIDATION_SEQUENCES = 32
_TOLERANCE = 1e-3  # of the largest logit


class ShrinkInputs(Frozen):
    """What `Shrink` reads."""

    model: Checkpoint
    """The model to make smaller."""
    shards: TokenShards
    """Documents as tokens of this model: what matters is measured on some of the train split."""


class Shrink(Component[ShrinkInputs, Checkpoint]):
    """Leave out the parts of a decoder that matter least on text.

    Layers go first, by how little they turn the hidden states (Men et al. 2024, ShortGPT). Then of
    every block as many key-value heads, with their queries, and as many neurons go, by what the
    block's output loses. Writes a dense model of the same class with its tokenizer in Hugging Face
    layout, and `shrunk.json`: what was kept, and bits per byte before and after.
    """

    version: ClassVar[str] = "1.0.0"

    layers: float = Field(default=0.0, ge=0, lt=1)
    """Share of the blocks that go."""
    heads: float = Field(default=0.0, ge=0, lt=1)
    """Share of the key-value heads of each block that go, with the queries that read them."""
    neurons: float = Field(default=0.0, ge=0, lt=1)
    """Share of the neurons of each feed-forward network that go. Up to 31 less are cut, so that the
    width stays a multiple of 32, or of the power of two that it was a multiple of."""
    refit: bool = True
    """Fit what reads heads and neurons to make up for those that went, by least squares."""
    calibration: Calibration = Calibration()
    """The text."""

    @model_validator(mode="after")
    def _removes_something(self) -> Self:
        if not (self.layers or self.heads or self.neurons):
            raise ValueError(
                "Nothing would go: set layers, heads or neurons, such as neurons=0.25."
            )
        return self

    def run(self, inputs: ShrinkInputs, out: Path) -> Checkpoint:
        """Choose, cut, save, and hold the saved model against the one whose parts were masked.

        Raises:
            ValueError: there is too little calibration text, so small a share is no whole part, the
                model's blocks cannot be cut, or what comes out is no model any more.
        """
        import torch

        from components.compress.pruning.proof import require_output
        from components.lib.device import move
        from components.lib.inference.held_out import HeldOut
        from components.lib.inference.torch_model import TorchModel
        from components.lib.models.folders import describe, load_model, save_model

        torch.set_num_threads(settings().num_threads)
        length = self.calibration.sequence_length
        ids = self.calibration.read(inputs.shards, inputs.model)
        text = HeldOut(inputs.shards, "validation", length, _VALIDATION_SEQUENCES)
        model = move(load_model(inputs.model.path))
        before = text.bits_per_byte(TorchModel(model))
        small, masked, told = self._shrunk(model, ids)
        save_model(small, inputs.model.path, out)
        saved = move(load_model(out))
        self._check(saved, masked, ids)
        require_output(saved, ids[:1], f"layers={self.layers:g}, heads={self.heads:g}")
        after = text.bits_per_byte(TorchModel(saved))
        write_json(out / SHRUNK, told | {"bits_per_byte": {"before": before, "after": after}})
        return describe(out, length)

    def _shrunk(
        self, model: "PreTrainedModel", ids: "Tensor"
    ) -> tuple["PreTrainedModel", "PreTrainedModel", dict[str, Any]]:
        """Return the smaller model, the one that was cut, masked, and what was kept."""
        from components.compress.pruning.structure import Sizes, without_blocks, without_parts
        from components.lib.models.sparsity import blocks_of

        kept_layers = list(range(len(blocks_of(model))))
        if self.layers:
            kept_layers = self._dearest_layers(model, ids)
            model = without_blocks(model, kept_layers)
        small, told = model, dict[str, Any](layers=kept_layers)
        if self.heads or self.neurons:
            sizes = Sizes.of(model)
            kept = self._dearest_parts(model, ids, sizes)
            small = without_parts(model, kept, sizes)
            told["key_value_heads"] = [part.groups for part in kept.values()]
            told["neurons"] = [part.neurons for part in kept.values()]
        return small, model, told

    def _dearest_layers(self, model: "PreTrainedModel", ids: "Tensor") -> list[int]:
        """Return the blocks that turn the hidden states most, in order."""
        import numpy as np

        from components.compress.pruning.structure import influence
        from components.compress.pruning.walk import Walk

        with Walk(model) as walk:
            turned = np.zeros(len(walk.blocks))
            for row in ids.split(1):
                states = walk.all_states(row)
                turned += [influence(*pair) for pair in pairwise(states)]
        goes = _number(len(turned), self.layers, "layers")
        return sorted(np.argsort(turned, kind="stable")[goes:].tolist())

    def _dearest_parts(
        self, model: "PreTrainedModel", ids: "Tensor", sizes: "Sizes"
    ) -> dict[int, "Kept"]:
        """Choose in every block in turn what stays, and take the rest out of what reads it."""
        from components.compress.pruning.structure import Kept
        from components.compress.pruning.walk import Walk
        from components.lib.models.sparsity import prunable

        groups, neurons = self._num_kept(sizes)
        readers = {
            (matrix.block, matrix.kind): matrix
            for matrix in prunable(model)
            if matrix.kind in ("self_attn.o_proj", "mlp.down_proj")
        }
        kept: dict[int, Kept] = {}
        with Walk(model) as walk:
            states = walk.embed(ids)
            for number in range(len(walk.blocks)):
                of = (walk, number, ids, states)
                heads = readers[number, "self_attn.o_proj"]
                network = readers[number, "mlp.down_proj"]
                kept[number] = Kept(
                    self._cut(of, heads, sizes.group_inputs, groups),
                    self._cut(of, network, 1, neurons),
                )
                states = walk.through(number, ids, states)
                logger.info("shrunk block %d of %d", number + 1, len(walk.blocks))
        return kept

    def _num_kept(self, sizes: "Sizes") -> tuple[int, int]:
        groups = sizes.num_groups
        if self.heads:
            groups -= _number(groups, self.heads, "heads")
        step = min(_MOST_STEP, sizes.num_neurons & -sizes.num_neurons)
        blocks = sizes.num_neurons // step
        if self.neurons:
            blocks -= _number(blocks, self.neurons, "neurons", f"blocks of {step} neurons")
        return groups, blocks * step

    def _cut(
        self,
        of: tuple["Walk", int, "Tensor", list["Tensor"]],
        reader: "Matrix",
        size: int,
        num_kept: int,
    ) -> list[int]:
        """Return which groups of inputs of `reader` stay, and let it read the others no more."""
        from components.compress.pruning.structure import inputs_of, keep_dearest, masked, refit
        from components.compress.pruning.walk import Moments

        weight = reader.weight
        if num_kept == weight.shape[1] // size:
            return list(range(num_kept))
        walk, number, ids, states = of
        with Moments([reader]) as seen:
            walk.through(number, ids, states)
        moments = seen.of(reader)
        kept = keep_dearest(weight, moments, size, num_kept, refits=self.refit)
        inputs = inputs_of(kept, size)
        weight.copy_(refit(weight, moments, inputs) if self.refit else masked(weight, inputs))
        return kept

    def _check(self, saved: "PreTrainedModel", masked: "PreTrainedModel", ids: "Tensor") -> None:
        import torch

        with torch.no_grad():
            one, other = (
                call(input_ids=ids[:1].to(masked.device), use_cache=False).logits
                for call in (saved, masked)
            )
        differ = float((one - other).abs().max()) / float(other.abs().max())
        assert differ < _TOLERANCE, f"the saved model differs by {differ:g} of the largest logit"


def _number(number: int, share: float, name: str, unit: str | None = None) -> int:
    """Return how many of `number` parts are a share; at least one goes, and one stays.

    Raises:
        ValueError: so small a share is none of them, or so large a one is all.
    """
    goes = round(number * share)
    if not 0 < goes < number:
        raise ValueError(
            f"{name}={share:g} of {number} {unit or name} is {goes}: at least one must go and one "
            f"must stay. Take {name} between {1 / number:.2f} and {1 - 1 / number:.2f}."
        )
    return goes
