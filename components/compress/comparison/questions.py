"""What two models are asked, to see whether they decide and behave alike."""

# B = sequences, T = tokens of a sequence

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.lib.inference.compared.decisions import Item
from components.lib.tasks.microtasks import read_microtasks, take_evenly
from components.lib.text.dialogue import Dialogue, read_dialogues

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_NUM_CHOICES = 4
_CHOICE_TOKENS = 32  # of an answer
_ROOM = 64  # tokens that an answer may take
_MOST_MICROTASKS = 256
_MOST_DIALOGUES = 256


class Question(NamedTuple):
    """A prompt and the answer that was held out, as token ids."""

    prompt: list[int]
    answer: list[int]


def questions(
    tokenizer: "PreTrainedTokenizerFast", tasks: Path, dialogues: Path | None, context: int
) -> list[Question]:
    """Return dialogues, if there are some, and micro-tasks in turns, as the template renders them.

    Those that leave no room for an answer in `context` tokens are left out; a tokenizer without
    a chat template gives none.
    """
    if tokenizer.chat_template is None:
        return []
    found = [each.dialogue() for each in take_evenly(read_microtasks(tasks), _MOST_MICROTASKS)]
    asked = [_rendered(tokenizer, found, context)]
    if dialogues is not None:
        held_out = list(read_dialogues(dialogues))
        asked.append(_rendered(tokenizer, held_out[:_MOST_DIALOGUES], context))
    longest = max(map(len, asked))
    return [each[place] for place in range(longest) for each in asked if place < len(each)]


def items_of(asked: Sequence[Question], number: int) -> list[Item]:
    """Return questions with four choices: their own answer and the next others of the list."""
    found: list[Item] = []
    for place, question in enumerate(asked[:number]):
        choices = [_cut(question.answer)]
        for other in (*asked[place + 1 :], *asked[:place]):
            if len(choices) < _NUM_CHOICES and (answer := _cut(other.answer)) not in choices:
                choices.append(answer)
        if len(choices) == _NUM_CHOICES:
            found.append(Item(question.prompt, tuple(choices)))
    return found


def items_of_text(windows: NDArray[np.int64], number: int) -> list[Item]:
    """Return beginnings of held-out text with four choices of how it goes on.

    windows (B, T): a choice is the second half of a window, 32 tokens of it at most.
    """
    half = windows.shape[1] // 2
    firsts = windows[:number, :half].tolist()
    seconds = windows[:, half : half + _CHOICE_TOKENS].tolist()
    asked = [Question(first, second) for first, second in zip(firsts, seconds, strict=False)]
    return items_of(asked, number)


def _cut(answer: list[int]) -> list[int]:
    return answer[:_CHOICE_TOKENS]


def _rendered(
    tokenizer: "PreTrainedTokenizerFast", dialogues: list[Dialogue], context: int
) -> list[Question]:
    from components.lib.text.rendered import Renderer

    rows = [each for each in Renderer(tokenizer).render(dialogues) if not isinstance(each, str)]
    cuts = [(each.ids, each.prompt_length()) for each in rows]
    found = [Question(ids[:length], ids[length:]) for ids, length in cuts]
    return [each for each in found if each.answer and len(each.prompt) + _ROOM <= context]
