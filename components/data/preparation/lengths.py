"""How long dialogues are in tokens of a model, by its own chat template."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from components.data.preparation.texts import Row
from components.lib.text.dialogue import Dialogue, Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Length(NamedTuple):
    """Tokens of a dialogue."""

    tokens: int
    """All of them."""
    learnt: int
    """Those of its answers, the end of each turn included."""


class Unrendered(ValueError):
    """A dialogue that the chat template refuses."""


class Lengths:
    """Measures dialogues by a tokenizer and its template."""

    def __init__(self, folder: Path) -> None:
        """Load the tokenizer of a folder."""
        from components.lib.models.folders import load_tokenizer

        self._tokenizer: PreTrainedTokenizerFast = load_tokenizer(folder)

    def of(self, row: Row) -> list[Length]:
        """Return the length of a dialogue, or of the two that a comparison is made of.

        Raises:
            Unrendered: the template refuses it.
        """
        if isinstance(row, Dialogue):
            answers = [each for each in row.messages if each.role == "assistant"]
            return [self._of(row.messages, row.tools, answers)]
        both = [Message(role="assistant", content=text) for text in (row.chosen, row.rejected)]
        return [self._of((*row.prompt, answer), row.tools, [answer]) for answer in both]

    def _of(
        self, messages: Sequence[Message], tools: Sequence[str], answers: Sequence[Message]
    ) -> Length:
        """Return the length of messages of which some are learnt.

        Raises:
            Unrendered: the template refuses it.
        """
        from jinja2 import TemplateError

        try:
            text = self._tokenizer.apply_chat_template(
                [message.for_template() for message in messages],
                tools=[json.loads(tool) for tool in tools] or None,
                tokenize=False,
            )
        except (TemplateError, ValueError, TypeError, KeyError) as error:
            raise Unrendered(f"{type(error).__name__}: {error}") from error
        return Length(self._num(str(text)), sum(map(self._num_learnt, answers)))

    def _num_learnt(self, answer: Message) -> int:
        """Return the tokens of an answer, its calls and its end: about those that bear the loss."""
        calls = "".join(f"{call.name}{call.arguments}" for call in answer.tool_calls)
        return self._num(answer.content + calls) + 1

    def _num(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))


def percentiles(values: Sequence[int]) -> dict[str, float]:
    """Return the mean of some numbers, and what so many percent of them are at most."""
    import numpy as np

    if not values:
        return {}
    array = np.array(values)
    places = {f"p{share}": float(np.percentile(array, share)) for share in (5, 25, 50, 75, 95, 99)}
    return {"mean": round(float(array.mean()), 3), **places, "max": float(array.max())}
