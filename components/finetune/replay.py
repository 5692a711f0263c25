"""Replay: pretraining text among the dialogues, so that learning these does not undo that."""

import numpy as np
from numpy.typing import NDArray

from components.lib.examples.batches import Batch
from components.lib.examples.dialogues import Dialogues, Stretch
from components.lib.examples.mixture import Mixture
from components.lib.examples.permutation import permute
from components.lib.examples.shards import Sequences


class WithReplay:
    """Dialogues with a share of text in every batch.

    Rehearsal of earlier data (Robins 1995) is the plainest remedy against forgetting. Whether a
    dialogue brings a window of text along, and which, is a function of the dialogue alone, so a
    resumed run and any number of processes see the same. Text is packed among the dialogues, every
    window hidden from all else, and bears a loss at each of its tokens.
    """

    def __init__(self, dialogues: Dialogues | Mixture, text: Sequences, share: float) -> None:
        """Let `share` of all examples be windows of `text`, on top of the dialogues."""
        self._dialogues = dialogues
        self._text = text
        self._share = share

    def __len__(self) -> int:
        """Return the number of dialogues."""
        return len(self._dialogues)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the chosen dialogues and their text, packed; len / (1 - share) on average."""
        places = permute(indices, len(self), seed=0)
        brings = places < round(len(self) * self._share / (1 - self._share))
        size = len(self._text)
        windows = self._text.windows(permute(places[brings] % size, size, seed=1))
        text = [Stretch(window[:-1], window[1:]) for window in windows]
        return self._dialogues.batch(indices, beside=text)
