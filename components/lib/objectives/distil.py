"""Distillation from logits (Hinton et al. 2015, arXiv 1503.02531), for every decoder."""

# B = sequences, T = tokens of a sequence, N = positions with a loss, V = vocabulary,
# K = tokens that are kept of a teacher's distribution

from inspect import signature
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from components.lib.examples.batches import Batch, Examples
from components.lib.objectives.buckets import log_buckets
from components.lib.objectives.divergences import DIVERGENCES
from components.lib.objectives.mixture import MixtureNextToken
from components.lib.objectives.next_token import NextToken, narrowed
from components.lib.objectives.objective import LossOptions, PretrainingText
from components.lib.objectives.teachers import Taught, Teacher, with_loss

_LEAST = -1e4  # ln of a probability of 0, with which can be computed


class DistillationOptions(NamedTuple):
    """What a recipe asks of a distillation."""

    divergence: str = "forward_kl"
    """One of `DIVERGENCES`."""
    alpha: float = 0.5
    """Share of the teacher in the loss; the text has the rest."""
    temperature: float = 1.0
    """Both models' logits are divided by it."""
    beta: float = 0.5
    """Of `jensen_shannon`: the weight of the teacher."""


class Distillation(NextToken):
    """Predict each next token as the text and as the teacher do.

    (1 - alpha) x cross-entropy + alpha x T^2 x divergence, means over the targets. The divergence
    is between the teacher's K likeliest tokens, with all others as one more outcome, and what the
    student gives the same K + 1: so it never exceeds that of the whole distributions, and is equal
    to it where K is the vocabulary. T^2 keeps the gradient's size at any temperature (Hinton et
    al. 2015, section 2).
    """

    def __init__(
        self, teacher: Teacher, options: DistillationOptions, loss: LossOptions | None = None
    ) -> None:
        """Learn from `teacher`, whose scores are of the temperature in `options`."""
        super().__init__(*(loss or LossOptions()))
        self._teacher, self._options = teacher, options
        self._taught: Taught | None = None

    def count(self, batch: Batch) -> dict[str, int]:
        """Return the number of targets, for each term."""
        return {**super().count(batch), "distillation": batch.num_targets()}

    def __call__(self, model: PreTrainedModel, batch: Batch) -> dict[str, Tensor]:
        """Return the terms in nats, weighed, summed over the targets."""
        self._taught = self._teacher(narrowed(batch))
        return super().__call__(model, batch)

    def terms(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the terms of the text, and how far the student is from the teacher."""
        assert self._taught is not None
        terms, options = super().terms(logits, targets), self._options
        terms["cross_entropy"] = (1 - options.alpha) * terms["cross_entropy"]
        found = divergence(with_loss(logits.flatten(0, -2), targets), self._taught, options)
        weight = options.alpha * options.temperature**2
        return {**terms, "distillation": weight * found.sum()}

    def examples(self, text: PretrainingText, split: str) -> Examples:
        """Return the split's sequences, with what the teacher must know of them."""
        return self._teacher.examples(super().examples(text, split))


class MixtureDistillation(Distillation, MixtureNextToken):
    """The same for a mixture of experts, with the losses that keep its experts in use."""


def distillation_of(student: PreTrainedModel) -> type[Distillation]:
    """Return the objective for a student: one that tells its routers is a mixture of experts."""
    tells = "output_router_logits" in signature(type(student).forward).parameters
    return MixtureDistillation if tells else Distillation


def divergence(logits: Tensor, taught: Taught, options: DistillationOptions) -> Tensor:
    """Return how far a student with logits (N, V) is from its teacher, in nats, (N,)."""
    student = log_buckets(logits, taught.ids, options.temperature)
    if taught.ids.shape[1] == logits.shape[1]:  # there are no others
        student, teacher = student[:, :-1], taught.log_probabilities[:, :-1]
    else:
        teacher = taught.log_probabilities
    teacher = teacher - torch.logsumexp(teacher, 1, keepdim=True)  # 16 bits do not add up to 1
    return DIVERGENCES[options.divergence](
        teacher.clamp(min=_LEAST), student.clamp(min=_LEAST), options.beta
    )
