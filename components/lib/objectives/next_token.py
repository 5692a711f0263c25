"""Next-token training of a decoder (Radford et al. 2018)."""

# B = examples of a batch, T = tokens of an example, V = vocabulary, N = targets

from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from components.core.settings import settings
from components.lib.device import autocast, put
from components.lib.examples.batches import IGNORED, POSITIONS, Batch, Examples
from components.lib.examples.packed import sequences_of
from components.lib.inference.held_out import HeldOut
from components.lib.inference.torch_model import TorchModel
from components.lib.objectives.cross_entropy import summed_nats
from components.lib.objectives.objective import LossOptions, PretrainingObjective, PretrainingText


class NextToken(PretrainingObjective):
    """Predict each next token: cross-entropy, and a penalty on large logits where asked for."""

    def __init__(self, z_loss: float = 0.0, label_smoothing: float = 0.0) -> None:
        """Weigh log^2 of the softmax's normaliser by `z_loss` (Chowdhery et al. 2022, PaLM)."""
        self._z_loss = z_loss
        self._label_smoothing = label_smoothing
        self._terms = torch.compile(_terms) if settings().compiles else _terms

    @classmethod
    def asked(cls, options: LossOptions) -> Self:
        """Return the objective with the recipe's weights; what else it has stays as published."""
        return cls(options.z_loss, options.label_smoothing)

    def count(self, batch: Batch) -> dict[str, int]:
        """Return the number of targets, for each term."""
        terms = ["cross_entropy", "z_loss"] if self._z_loss else ["cross_entropy"]
        return dict.fromkeys(terms, batch.num_targets())

    def __call__(self, model: PreTrainedModel, batch: Batch) -> dict[str, Tensor]:
        """Return the terms in nats, summed over the targets."""
        output, targets = predict(model, narrowed(batch))
        return self.terms(output.logits, targets)

    def terms(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the terms for logits (..., V), in any precision, and targets (...)."""
        return self._terms(logits, targets, self._z_loss, self._label_smoothing)

    def examples(self, text: PretrainingText, split: str) -> Examples:
        """Return the split's sequences, packed and masked as the recipe says."""
        folder = text.shards.path / split
        return sequences_of(folder, text.sequence_length, text.packing, text.document_mask)

    def evaluation(
        self, model: PreTrainedModel, text: PretrainingText
    ) -> Callable[[], dict[str, float]]:
        """Return what measures bits per byte, on the plain stream however the training packs."""
        held_out = HeldOut(text.shards, "validation", text.sequence_length, text.num_held_out)
        scorer = TorchModel(model)
        return lambda: {"validation_bits_per_byte": held_out.bits_per_byte(scorer)}


def model_inputs(batch: Batch) -> dict[str, Tensor]:
    """Return what a decoder takes: `input_ids`, and `position_ids` if the batch has some.

    Where positions begin again at 0, transformers' decoders hide what is before: without a cache
    and without an `attention_mask` it builds the block-diagonal mask of packed documents.
    """
    inputs = {"input_ids": batch.inputs}
    if POSITIONS in batch.extras:
        inputs[POSITIONS] = batch.extras[POSITIONS]
    return {name: put(ids) for name, ids in inputs.items()}


def narrowed(batch: Batch) -> Batch:
    """Return the batch without padding that no example needs, unless a compiled model meets it."""
    return batch.trimmed() if settings().compiles else batch.narrow()


def predict(model: PreTrainedModel, batch: Batch, **options: Any) -> tuple[Any, Tensor]:
    """Return the model's output for a batch, with logits (N, V), and the targets (N,).

    N are the positions that have a loss: the output head computes no others, where the model lets
    itself be told. Compiled, they are all positions, so that the model meets one shape.
    """
    targets = put(batch.targets)  # (B, T)
    bears_loss = put(batch.targets != IGNORED)
    selects = not settings().compiles and batch.num_targets() < batch.targets.size
    if selects and _selects(type(model)):
        options["logits_to_keep"] = bears_loss
    with autocast():
        output: Any = model(**model_inputs(batch), use_cache=False, **options)
    if not selects:
        output.logits = output.logits.flatten(0, 1)
        return output, targets.flatten()
    if output.logits.ndim > 2:  # it computed them all
        output.logits = output.logits[bears_loss]
    return output, targets[bears_loss]


@cache
def _selects(kind: type[PreTrainedModel]) -> bool:
    """Return whether models of a class can be told which positions' logits are wanted."""
    return "logits_to_keep" in signature(kind.forward).parameters


def _terms(
    logits: Tensor, targets: Tensor, z_loss: float, label_smoothing: float
) -> dict[str, Tensor]:
    is_plain = not z_loss and not label_smoothing
    if is_plain and logits.device.type == "cpu" and not torch.compiler.is_compiling():
        return {"cross_entropy": summed_nats(logits.flatten(0, -2), targets.flatten())}
    logits = logits.float()
    terms = {
        "cross_entropy": F.cross_entropy(
            logits.flatten(0, -2),
            targets.flatten(),
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=label_smoothing,
        )
    }
    if z_loss:
        squares = logits.logsumexp(-1).square()
        terms["z_loss"] = z_loss * torch.where(targets != IGNORED, squares, 0.0).sum()
    return terms
