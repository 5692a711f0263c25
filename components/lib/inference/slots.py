"""A model that reads several texts side by side: each has a slot that holds its keys and values.

What runs a model knows nothing of requests: `batching` decides which text is read when.
"""

# B = slots at work, T = tokens, V = vocabulary

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.lib.inference.language_model import LanguageModel


class Slots(ABC):
    """Keys and values of `num_slots` texts, and the model that reads them."""

    def __init__(self, model: LanguageModel, num_slots: int) -> None:
        """Keep the model, whose context is as long as the room of a slot."""
        if num_slots < 1:
            raise ValueError(f"num_slots is {num_slots}: give at least 1.")
        self.model = model
        self.num_slots = num_slots

    @abstractmethod
    def read(self, slot: int, ids: Sequence[int], start: int) -> None:
        """Read `ids` (T,) into a slot whose first `start` tokens were read before."""

    @abstractmethod
    def step(self, tokens: Sequence[int], lengths: Sequence[int]) -> NDArray[np.float32]:
        """Read one token into each of the first B slots; return the logits (B, V) after them.

        Slot i holds `lengths[i]` tokens, and `tokens[i]` is the next. The rows are overwritten by
        the next step.
        """

    @abstractmethod
    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of a slot to another."""

    @abstractmethod
    def free(self) -> None:
        """Let go of the model and of all memory."""


def room(context_length: int, num_slots: int, bytes_per_token: int, most_bytes: int) -> int:
    """Return how many tokens a slot has room for: the whole context, if the memory allows it.

    Raises:
        ValueError: it allows hardly any.
    """
    found = min(context_length, most_bytes // (num_slots * bytes_per_token))
    if found < min(context_length, 64):
        raise ValueError(
            f"{most_bytes >> 20} MiB hold {found} tokens in each of {num_slots} slots, at "
            f"{bytes_per_token} bytes a token: give more memory, or fewer slots."
        )
    return found
