"""Micro-tasks as the platform's data holds them, and models' answers to them."""

# B = instructions of a batch, T = tokens of the longest

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from components.lib.batches import IGNORED, Batch
from components.lib.chat import END_OF_TEXT, PADDING, decode, encode_prompt, token_id
from components.lib.microtasks import MicroTask

MAX_ANSWER_TOKENS = 64  # the longest reference answer takes fewer


class Generator(Protocol):
    """A model that continues token ids."""

    def generate(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """Return the greedy continuation of each prompt, without the end-of-text token."""
        ...


def read_microtasks(file: Path) -> list[MicroTask]:
    """Read one micro-task a line."""
    return [MicroTask.model_validate_json(line) for line in file.open(encoding="utf-8")]


def take_evenly(tasks: Sequence[MicroTask], number: int) -> list[MicroTask]:
    """Return `number` of `tasks`, the same from each kind and level as far as there are any."""
    cells: dict[tuple[str, int], list[MicroTask]] = {}
    for task in sorted(tasks, key=lambda task: task.id):
        cells.setdefault((task.task, task.level), []).append(task)
    deepest = max(map(len, cells.values()), default=0)
    turns = [cell[i] for i in range(deepest) for _, cell in sorted(cells.items()) if i < len(cell)]
    return turns[:number]


def answers(
    model: Generator, tokenizer: PreTrainedTokenizerFast, tasks: Sequence[MicroTask]
) -> list[str]:
    """Return the model's greedy answer to each prompt."""
    prompts = [encode_prompt(tokenizer, task.prompt) for task in tasks]
    ids = model.generate(prompts, MAX_ANSWER_TOKENS)
    return [decode(tokenizer, row) for row in ids]


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
