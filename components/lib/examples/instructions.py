"""Micro-tasks as examples of supervised fine-tuning."""

# B = instructions of a batch, T = tokens of the longest

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from components.lib.examples.batches import IGNORED, Batch
from components.lib.tasks.microtasks import MicroTask
from components.lib.text.chat import END_OF_TEXT, PADDING, encode_prompt, token_id


class Instructions:
    """Examples of supervised fine-tuning: a prompt, then an answer that alone bears the loss."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, tasks: Sequence[MicroTask]) -> None:
        """Encode `tasks` with the tokenizer's chat template."""
        end = token_id(tokenizer, END_OF_TEXT)
        self._padding = token_id(tokenizer, PADDING)
        self._prompts = [encode_prompt(tokenizer, task.prompt) for task in tasks]
        completions = tokenizer(
            [task.completion for task in tasks], add_special_tokens=False
        ).input_ids
        self._completions = [[*ids, end] for ids in completions]

    def __len__(self) -> int:
        """Return the number of instructions."""
        return len(self._prompts)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the chosen instructions, shortest first and padded on the right, (B, T)."""
        chosen = sorted(indices.tolist(), key=lambda i: (self._length(i), i))
        shape = (len(chosen), max(map(self._length, chosen)) - 1)
        batch = Batch(np.full(shape, self._padding), np.full(shape, IGNORED))
        for row, i in enumerate(chosen):
            ids = np.array(self._prompts[i] + self._completions[i])
            first_answer = len(self._prompts[i]) - 1
            batch.inputs[row, : len(ids) - 1] = ids[:-1]
            batch.targets[row, first_answer : len(ids) - 1] = ids[first_answer + 1 :]
        return batch

    def _length(self, index: int) -> int:
        return len(self._prompts[index]) + len(self._completions[index])
