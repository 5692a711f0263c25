"""Preference training of a decoder: what was chosen becomes likelier than what was not."""

# B = sequences of a batch, T = tokens of a sequence, S = pairs of a sequence, P = pairs of a batch

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from components.lib.device import autocast, put
from components.lib.examples.batches import IGNORED, Batch
from components.lib.examples.pairs import ANSWERS, PAIRS
from components.lib.group import Group
from components.lib.objectives.next_token import model_inputs
from components.lib.objectives.objective import Objective


class Scores(NamedTuple):
    """How much likelier the policy makes the answers of pairs than the reference does."""

    chosen: Tensor
    """ln of the ratio of probabilities, of the chosen answer, (P,)."""
    rejected: Tensor
    """The same of the rejected answer, (P,)."""
    chosen_tokens: Tensor
    """Tokens of the chosen answer, its end included, (P,)."""
    rejected_tokens: Tensor
    """Tokens of the rejected answer, (P,)."""

    def per_token(self) -> Tensor:
        """Return the margin of the means over tokens, (P,)."""
        return self.chosen / self.chosen_tokens - self.rejected / self.rejected_tokens


class PreferenceOptions(NamedTuple):
    """What a recipe asks of a preference loss."""

    beta: float = 0.1
    """Scale of the rewards."""
    label_smoothing: float = 0.0
    """Share of pairs whose label may be wrong."""
    margin: float = 0.0
    """How far apart the rewards of SimPO must be."""


def sigmoid(scores: Scores, options: PreferenceOptions) -> Tensor:
    """Rafailov et al. 2023, equation 7; smoothed, conservative DPO (Mitchell 2023)."""
    return _smoothed(options.beta * (scores.chosen - scores.rejected), options)


def sigmoid_norm(scores: Scores, options: PreferenceOptions) -> Tensor:
    """The same with the means over tokens, so that a longer answer has no larger reward."""
    return _smoothed(options.beta * scores.per_token(), options)


def simpo(scores: Scores, options: PreferenceOptions) -> Tensor:
    """Meng et al. 2024, equation 6: `scores` are the policy's own, without a reference."""
    return _smoothed(options.beta * scores.per_token() - options.margin, options)


def ipo(scores: Scores, options: PreferenceOptions) -> Tensor:
    """Azar et al. 2023, equation 17, with the means over tokens, as its authors compute it."""
    return (scores.per_token() - 1 / (2 * options.beta)).square()


def hinge(scores: Scores, options: PreferenceOptions) -> Tensor:
    """SLiC (Zhao et al. 2023)."""
    return torch.relu(1 - options.beta * (scores.chosen - scores.rejected))


def _smoothed(logits: Tensor, options: PreferenceOptions) -> Tensor:
    right, wrong = F.logsigmoid(logits), F.logsigmoid(-logits)
    return -(1 - options.label_smoothing) * right - options.label_smoothing * wrong


PREFERENCE_LOSSES: dict[str, Callable[[Scores, PreferenceOptions], Tensor]] = {
    loss.__name__: loss for loss in (sigmoid, ipo, hinge, sigmoid_norm, simpo)
}


class Preference(Objective):
    """Push the chosen answer of each pair above the rejected one, held back by a reference."""

    def __init__(
        self,
        reference: Tensor,
        loss: str,
        options: PreferenceOptions,
        packs: bool = True,
    ) -> None:
        """Compare with `reference`: ln p of each pair's answers, (pairs, 2); zeros for none.

        A model that does not hide the texts of a sequence from each other reads each by itself,
        unless it `packs`.
        """
        self._reference, self._packs = reference, packs
        self._loss, self._options = PREFERENCE_LOSSES[loss], options
        self._seen: Tensor | None = None  # pairs, those ranked right, rewards; since `observed`

    def count(self, batch: Batch) -> dict[str, int]:
        """Return the number of pairs."""
        return {"preference": int((batch.extras[PAIRS] >= 0).sum())}

    def __call__(self, model: PreTrainedModel, batch: Batch) -> dict[str, Tensor]:
        """Return the loss, summed over the pairs."""
        if PAIRS not in batch.extras:  # a process that has no pair still takes part
            return {"preference": model(**model_inputs(batch), use_cache=False).logits.sum() * 0}
        scores = self.scores(model, batch)
        self._observe(scores)
        return {"preference": self._loss(scores, self._options).sum()}

    def scores(self, model: PreTrainedModel, batch: Batch) -> Scores:
        """Return the scores of the pairs of a batch."""
        found, tokens = log_probabilities(model, batch, self._packs)
        numbers = put(batch.extras[PAIRS]).flatten()  # (B S,)
        there = numbers >= 0
        ratios = found[there] - self._reference.to(found.device)[numbers[there]]
        return Scores(*ratios.unbind(1), *tokens[there].unbind(1))

    @torch.no_grad()
    def validation(self, model: PreTrainedModel, batch: Batch) -> dict[str, float]:
        """Return the mean loss of held-out pairs, and the share of them that is ranked right."""
        scores = self.scores(model, batch)
        right = scores.chosen > scores.rejected
        return {
            "validation_loss": float(self._loss(scores, self._options).mean()),
            "validation_preference_accuracy": float(right.float().mean()),
        }

    def observed(self, group: Group) -> dict[str, float]:
        """Return the share of pairs ranked right since the last call, and the mean rewards.

        An answer's reward is beta times its score (Rafailov et al. 2023, section 4).
        """
        if self._seen is None:
            return {}
        pairs, right, chosen, rejected = group.sum(self._seen).tolist()
        self._seen = None
        return {
            "preference_accuracy": right / pairs,
            "reward_chosen": chosen / pairs,
            "reward_rejected": rejected / pairs,
            "reward_margin": (chosen - rejected) / pairs,
        }

    @torch.no_grad()
    def _observe(self, scores: Scores) -> None:
        rewards = self._options.beta * torch.stack([scores.chosen, scores.rejected])
        right = (rewards[0] > rewards[1]).sum()
        number = torch.tensor(rewards.shape[1], device=rewards.device)
        seen = torch.stack([number, right, *rewards.sum(1)]).double()
        self._seen = seen if self._seen is None else self._seen + seen


def log_probabilities(
    model: PreTrainedModel, batch: Batch, packs: bool = True
) -> tuple[Tensor, Tensor]:
    """Return ln p of the answers of a batch of pairs, and their tokens: both (B S, 2).

    Slots that hold no pair have 0 of both.
    """
    nats = _nats(model, batch) if packs else _nats_of_each(model, batch)
    targets = put(batch.targets)
    owners = put(batch.extras[ANSWERS])  # (B, T)
    num_slots = batch.extras[PAIRS].shape[1]
    empty = nats.new_zeros(len(nats), 1 + 2 * num_slots)
    found = empty.scatter_add(1, owners, -nats)
    tokens = empty.scatter_add(1, owners, (targets != IGNORED).float())
    return found[:, 1:].reshape(-1, 2), tokens[:, 1:].reshape(-1, 2)


def _nats(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Return -ln p of each target, 0 where there is none, (B, T)."""
    targets = put(batch.targets)
    with autocast():
        output: Any = model(**model_inputs(batch), use_cache=False)
    flat = output.logits.float().flatten(0, 1)
    nats = F.cross_entropy(flat, targets.flatten(), ignore_index=IGNORED, reduction="none")
    return nats.view_as(targets)


def _nats_of_each(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Return the same, from a batch in which each text of a sequence has a row of its own."""
    answers = batch.extras[ANSWERS]
    texts = [
        (row, columns)
        for row, owners in enumerate(answers)
        for owner in range(1, int(owners.max()) + 1)
        if len(columns := np.flatnonzero(owners == owner))
    ]
    shape = (len(texts), max(len(columns) for _, columns in texts))
    inputs, targets = np.zeros(shape, np.int64), np.full(shape, IGNORED)
    for place, (row, columns) in enumerate(texts):
        inputs[place, : len(columns)] = batch.inputs[row, columns]
        targets[place, : len(columns)] = batch.targets[row, columns]
    alone = _nats(model, Batch(inputs, targets))
    nats = alone.new_zeros(answers.shape)
    for place, (row, columns) in enumerate(texts):
        nats[row, columns] = alone[place, : len(columns)]
    return nats
