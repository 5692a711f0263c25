"""Replay: pretraining text among the instructions, so that learning these does not undo that."""

# B = examples of a batch, T = tokens of the longest

import numpy as np
from numpy.typing import NDArray

from components.lib.examples.batches import IGNORED, Batch
from components.lib.examples.instructions import Instructions
from components.lib.examples.permutation import permute
from components.lib.examples.shards import Sequences


class WithReplay:
    """Instructions with a share of text sequences in every batch.

    Rehearsal of earlier data (Robins 1995) is the plainest remedy against forgetting. Whether an
    instruction brings a sequence along, and which, is a function of the instruction alone, so a
    resumed run and any number of processes see the same.
    """

    def __init__(self, instructions: Instructions, text: Sequences, share: float) -> None:
        """Let `share` of all examples be sequences of `text`, on top of the instructions."""
        self._instructions = instructions
        self._text = text
        self._share = share

    def __len__(self) -> int:
        """Return the number of instructions."""
        return len(self._instructions)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the chosen instructions, then text: (B / (1 - share) on average, T)."""
        told = self._instructions.batch(indices)
        places = permute(indices, len(self), seed=0)
        brings = places < round(len(self) * self._share / (1 - self._share))
        size = len(self._text)
        windows = self._text.windows(permute(places[brings] % size, size, seed=1))
        width = max(told.inputs.shape[1], self._text.length)
        pad = ((0, 0), (0, width - told.inputs.shape[1]))
        text_pad = ((0, 0), (0, width - self._text.length))
        inputs = [np.pad(told.inputs, pad), np.pad(windows[:, :-1], text_pad)]
        targets = [
            np.pad(told.targets, pad, constant_values=IGNORED),
            np.pad(windows[:, 1:], text_pad, constant_values=IGNORED),
        ]
        return Batch(np.concatenate(inputs), np.concatenate(targets))
