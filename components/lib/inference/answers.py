"""What models answer to micro-tasks."""

from collections.abc import Sequence
from typing import Protocol

from transformers import PreTrainedTokenizerFast

from components.lib.tasks.microtasks import MicroTask
from components.lib.text.chat import decode, encode_prompt

MAX_ANSWER_TOKENS = 64  # the longest reference answer takes fewer


class Generator(Protocol):
    """A model that continues token ids."""

    def generate(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """Return the greedy continuation of each prompt, without the end-of-text token."""
        ...


def answers(
    model: Generator, tokenizer: PreTrainedTokenizerFast, tasks: Sequence[MicroTask]
) -> list[str]:
    """Return the model's greedy answer to each prompt."""
    prompts = [encode_prompt(tokenizer, task.prompt) for task in tasks]
    ids = model.generate(prompts, MAX_ANSWER_TOKENS)
    return [decode(tokenizer, row) for row in ids]
