"""Replay: pretraining text among the instructions, so that learning these does not undo that."""

# B = examples of a batch, T = tokens of the longest

import numpy as np
from numpy.typing import NDArray

from components.lib.instructions import Instructions
from components.lib.permutation import permute
from components.lib.shards import Sequences
from components.lib.training import IGNORED, Batch


class WithReplay:
    """Instructions with a share of text sequences in every batch.

    Rehearsal of earlier data (Robins 1995) is the plainest remedy against forgetting. Which
    sequences a batch gets is a function of which instructions it has, so a resumed run sees the
    same.
    """

    def __init__(self, instructions: Instructions, text: Sequences, share: float) -> None:
        """Let `share` of the examples of a batch be sequences of `text`, on top of the rest."""
        self._instructions = instructions
        self._text = text
        self._share = share

    def __len__(self) -> int:
        """Return the number of instructions."""
        return len(self._instructions)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the chosen instructions, then text: (B / (1 - share), T), padded on the right."""
        told = self._instructions.batch(indices)
        number = round(len(indices) * self._share / (1 - self._share))
        chosen = permute(indices[:number] % len(self._text), len(self._text), seed=0)
        windows = self._text.windows(chosen)
        width = max(told.inputs.shape[1], self._text.length)
        pad = ((0, 0), (0, width - told.inputs.shape[1]))
        text_pad = ((0, 0), (0, width - self._text.length))
        inputs = [np.pad(told.inputs, pad), np.pad(windows[:, :-1], text_pad)]
        targets = [
            np.pad(told.targets, pad, constant_values=IGNORED),
            np.pad(windows[:, 1:], text_pad, constant_values=IGNORED),
        ]
        return Batch(np.concatenate(inputs), np.concatenate(targets))
