"""The text that a model is pruned on."""

# N = texts, T = tokens of a text

from typing import TYPE_CHECKING

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TokenShards
from components.core.artifacts.models import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor


class Calibration(Frozen):
    """How much text of the train split a model is pruned on."""

    num_sequences: int = Field(default=64, ge=1)
    """Sequences, taken evenly from the split. Sun et al. 2023 take 128."""
    sequence_length: int = Field(default=512, ge=8)
    """Tokens of a sequence."""

    def read(self, shards: TokenShards, model: Checkpoint) -> "Tensor":
        """Return token ids (N, T), the same each time.

        Raises:
            ValueError: there is less text than that, a sequence is longer than the context of the
                model, or the ids are not those of the model.
        """
        import torch

        from components.lib.examples.shards import Sequences

        self._require_fit(shards, model)
        sequences = Sequences(shards.path / "train", self.sequence_length)
        if (found := len(sequences)) < self.num_sequences:
            raise ValueError(
                f"The train split has {found} sequences of {self.sequence_length} tokens, and "
                f"calibration asks for {self.num_sequences}. Add documents with `bloomery data "
                "add`, or lower num_sequences or sequence_length."
            )
        return torch.from_numpy(sequences.spread(self.num_sequences)[:, :-1].copy())

    def _require_fit(self, shards: TokenShards, model: Checkpoint) -> None:
        from components.lib.models.config import context_length, of_text, raw_config

        config = raw_config(model.path)
        if (longest := context_length(config)) < self.sequence_length:
            raise ValueError(
                f"sequence_length={self.sequence_length} of the calibration is longer than the "
                f"context of the model, {longest} tokens: lower it."
            )
        if (rows := of_text(config)["vocab_size"]) < shards.vocab_size:
            raise ValueError(
                f"The calibration text has {shards.vocab_size} token ids and the model {rows}: "
                "tokenize the documents with the tokenizer of the model."
            )
