"""What models answer to micro-tasks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.lib.inference.language_model import LanguageModel
from components.lib.tasks.microtasks import MicroTask
from components.lib.text.chat import decode, encode_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MAX_ANSWER_TOKENS = 64  # the longest reference answer takes fewer


def answers(
    model: LanguageModel, tokenizer: "PreTrainedTokenizerFast", tasks: Sequence[MicroTask]
) -> list[str]:
    """Return the model's greedy answer to each prompt."""
    prompts = [encode_prompt(tokenizer, task.prompt) for task in tasks]
    ids = model.generate(prompts, MAX_ANSWER_TOKENS)
    return [decode(tokenizer, row) for row in ids]
