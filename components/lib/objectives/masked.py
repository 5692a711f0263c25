"""BERT's objective (Devlin et al. 2018): fill in masked tokens, tell what follows what."""

# B = pairs, T = tokens of a pair, V = vocabulary, N = masked tokens

from collections.abc import Callable
from typing import Any, NamedTuple, Self, cast

import numpy as np
import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.nn import functional as F
from transformers import BertForPreTraining, PreTrainedModel

from components.lib.device import autocast, put
from components.lib.examples.batches import IGNORED, Batch
from components.lib.examples.masked import MASKED_SHARE, MaskedSentencePairs, PairTokens
from components.lib.models.folders import load_tokenizer
from components.lib.objectives.objective import LossOptions, PretrainingObjective, PretrainingText

_BATCH = 32


class Answers(NamedTuple):
    """What a model says of a batch, and what is right."""

    tokens: Tensor  # (N, V), float32
    targets: Tensor  # (N,)
    follows: Tensor  # (B, 2), float32
    next_sentence: Tensor  # (B,)

    def masked_loss(self) -> Tensor:
        """Return the nats of all hidden tokens together."""
        return F.cross_entropy(self.tokens, self.targets, reduction="sum")

    def next_sentence_loss(self) -> Tensor:
        """Return the nats of all pairs together."""
        return F.cross_entropy(self.follows, self.next_sentence, reduction="sum")


class MaskedPairObjective(PretrainingObjective):
    """The sum of both of BERT's losses, each a mean over its own items."""

    @classmethod
    def asked(cls, options: LossOptions) -> Self:
        """Return the objective as it was published: the architecture refuses all options."""
        return cls()

    @property
    def predicted(self) -> float:
        """The share of hidden tokens: the head is asked for them alone."""
        return MASKED_SHARE

    def count(self, batch: Batch) -> dict[str, int]:
        """Return the number of hidden tokens and of pairs."""
        return {"masked_lm": batch.num_targets(), "next_sentence": len(batch)}

    def __call__(self, model: PreTrainedModel, batch: Batch) -> dict[str, Tensor]:
        """Return both terms in nats, summed over their items."""
        found = answers(model, batch)
        return {"masked_lm": found.masked_loss(), "next_sentence": found.next_sentence_loss()}

    def examples(self, text: PretrainingText, split: str) -> MaskedSentencePairs:
        """Return the split's pairs of stretches, with hidden tokens."""
        tokens = PairTokens.of(load_tokenizer(text.tokenizer))
        folder = text.shards.path / split
        return MaskedSentencePairs(folder, text.sequence_length, tokens, text.seed)

    def evaluation(
        self, model: PreTrainedModel, text: PretrainingText
    ) -> Callable[[], dict[str, float]]:
        """Return what measures the loss and both accuracies on pairs of the validation split."""
        pairs = self.examples(text, "validation")
        return lambda: evaluate_masked(model, pairs, text.num_held_out)


def answers(model: PreTrainedModel, batch: Batch) -> Answers:
    """Ask both heads; the vocabulary is asked for at the hidden tokens alone."""
    inputs, targets = (put(x) for x in (batch.inputs, batch.targets))
    types, labels = (put(batch.extras[name]) for name in ("token_type_ids", "next_sentence"))
    is_token = put(batch.holds_tokens())  # by places: a random word may have the id of padding
    mask = None if bool(is_token.all()) else is_token.long()
    is_target = targets != IGNORED
    if isinstance(model, FSDPModule):  # its parts must not be called alone
        with autocast():
            whole: Any = model(inputs, attention_mask=mask, token_type_ids=types)
        tokens, follows = whole.prediction_logits[is_target], whole.seq_relationship_logits
        return Answers(tokens.float(), targets[is_target], follows.float(), labels)
    bert = cast(BertForPreTraining, model)
    with autocast():
        encoded: Any = bert.bert(inputs, attention_mask=mask, token_type_ids=types)
        tokens = bert.cls.predictions(encoded.last_hidden_state[is_target])
        follows = bert.cls.seq_relationship(encoded.pooler_output)
    return Answers(tokens.float(), targets[is_target], follows.float(), labels)


@torch.no_grad()
def evaluate_masked(
    model: PreTrainedModel, examples: MaskedSentencePairs, number: int
) -> dict[str, float]:
    """Return how `model` does on at most `number` pairs taken evenly from `examples`.

    The loss is the mean nats of a hidden token, the accuracies are shares from 0 to 1.
    """
    chosen = np.unique(np.linspace(0, len(examples) - 1, min(number, len(examples))).astype(int))
    sums = np.zeros(5)
    for start in range(0, len(chosen), _BATCH):
        found = answers(model, examples.batch(chosen[start : start + _BATCH].astype(np.int64)))
        right = (found.tokens.argmax(-1) == found.targets).sum()
        told = (found.follows.argmax(-1) == found.next_sentence).sum()
        nats = float(found.masked_loss())
        sums += [nats, int(right), len(found.targets), int(told), len(found.next_sentence)]
    return {
        "validation_masked_loss": sums[0] / sums[2],
        "validation_masked_accuracy": sums[1] / sums[2],
        "validation_next_sentence_accuracy": sums[3] / sums[4],
    }
