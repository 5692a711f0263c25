"""Questions with a reference answer, for a student that writes answers of its own."""

# B = questions of a batch, T = tokens of the longest with its answer

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from components.lib.examples.batches import Batch
from components.lib.examples.dialogues import Stretch, answered, one_a_row
from components.lib.text.chat import padding_id
from components.lib.text.dialogue import Dialogue
from components.lib.text.rendered import Renderer

PROMPTS = "prompt_lengths"  # (B, 1) of a batch's extras: tokens before the answer
VISITS = "visits"  # (B, 1): a number that no other visit of any question has


class Questions:
    """Examples of on-policy distillation: an example is a visit to a question.

    Each question is visited so many times, and every visit has a number of its own: what a student
    writes there is a function of that number and its weights.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        dialogues: Sequence[Dialogue],
        num_visits: int,
        max_new_tokens: int,
        context: int,
    ) -> None:
        """Encode by the tokenizer's chat template. Reference answers are cut to `max_new_tokens`.

        Raises:
            ValueError: no question leaves so much room in the context.
        """
        rendered = Renderer(tokenizer).render(dialogues)
        found = [
            _answered(each.ids, each.prompt_length(), max_new_tokens)
            for each in rendered
            if not isinstance(each, str)
        ]
        self._answered = [each for each in found if each[1] + max_new_tokens <= context]
        if not self._answered:
            raise ValueError(
                f"None of the {len(dialogues)} questions leaves room for {max_new_tokens} tokens "
                f"in a context of {context}: lower max_new_tokens."
            )
        self._num_visits, self._padding = num_visits, padding_id(tokenizer)

    @property
    def num_questions(self) -> int:
        """Questions that can be asked."""
        return len(self._answered)

    def __len__(self) -> int:
        """Return the number of visits."""
        return self.num_questions * self._num_visits

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the chosen visits, a sequence each."""
        chosen = [self._answered[index % self.num_questions] for index in indices.tolist()]
        batch = one_a_row([stretch for stretch, _ in chosen], self._padding)
        prompts = np.array([length for _, length in chosen])[:, None]
        extras = {PROMPTS: prompts, VISITS: indices[:, None]}
        return Batch(batch.inputs, batch.targets, extras, batch.lengths)


def _answered(ids: list[int], prompt: int, max_new_tokens: int) -> tuple[Stretch, int]:
    return answered(ids[:prompt], ids[prompt : prompt + max_new_tokens]), prompt
