"""Whether answers end: a few prompts, answered by what is shipped, where ends were learnt."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from components.core.settings import settings
from components.lib.inference.conversation import open_model
from components.lib.text.dialogue import read_dialogues
from components.release.check import Check
from components.release.shipped import Shipped

if TYPE_CHECKING:
    from pathlib import Path

    from components.lib.inference.language_model import LanguageModel
    from components.lib.text.rendered import Rendered

_FEW = 4  # prompts, of which fewer say nothing
_LOOKED_AT = 512  # held-out dialogues, among which those with short answers are asked
_GENEROUS = 4  # times the longest of the answers that are asked for
_LEAST = 128  # tokens


class _Prompt(NamedTuple):
    """A held-out dialogue up to its last answer."""

    ids: list[int]
    answer: list[int]
    """As it was taught, its end included."""


def ending_checks(shipped: Shipped, num_prompts: int, max_unended: float) -> Iterator[Check]:
    """Yield, for each shipped model, the share of greedy answers that do not end in time.

    Only those prompts count after whose taught answer the model itself finds the end likeliest: of
    a model that was hardly trained, or not at all in this run, nothing is asked. The bound is four
    times the longest answer, and 128 tokens at least where the context has room for them.
    """
    if shipped.model.fingerprint == shipped.base.fingerprint:
        return
    prompts = _prompts(shipped.base.path, shipped.held_out(), num_prompts)
    for name, part in shipped.parts():
        model = open_model(part.path, settings().num_threads)
        asked = [each for each in prompts if _is_taught(model, each)]
        if len(asked) < _FEW:
            continue
        bound = max(_LEAST, _GENEROUS * max(len(each.answer) for each in asked))
        room = model.context_length - max(len(each.ids) for each in asked)
        bound = min(bound, room)
        made = model.generate([each.ids for each in asked], bound)
        unended = sum(len(row) >= bound for row in made)
        yield Check(
            name=f"ends: share of {len(asked)} answers of {name} that do not end within {bound} "
            "tokens, though the end was learnt",
            value=unended / len(asked),
            threshold=max_unended,
        )


def _prompts(base: "Path", file: "Path", number: int) -> list[_Prompt]:
    """Return the held-out dialogues with the shortest answers, as they were taught."""
    from components.lib.models.folders import load_tokenizer
    from components.lib.text.rendered import Renderer

    tokenizer = load_tokenizer(base)
    if tokenizer.chat_template is None or not file.is_file():
        return []
    dialogues = list(read_dialogues(file))
    chosen = dialogues[:: max(1, len(dialogues) // _LOOKED_AT)]
    found = [each for each in Renderer(tokenizer).render(chosen) if not isinstance(each, str)]
    return sorted(map(_prompt, found), key=lambda each: len(each.answer))[:number]


def _prompt(rendered: "Rendered") -> _Prompt:
    length = rendered.prompt_length()
    return _Prompt(rendered.ids[:length], rendered.ids[length:])


def _is_taught(model: "LanguageModel", prompt: _Prompt) -> bool:
    """Whether the end of the taught answer is what the model finds likeliest in its place."""
    whole = [*prompt.ids, *prompt.answer]
    if len(whole) + len(prompt.answer) > model.context_length or max(whole) >= model.vocab_size:
        return False
    ((token, _),) = model.next_token_probabilities(whole[:-1], 1)
    return token == whole[-1]
