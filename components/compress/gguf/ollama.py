"""A Modelfile: what Ollama is told of a GGUF file.

Ollama does not run the chat template of a GGUF file. It knows some by heart, and of all others it
sends the bare prompt. So the template is written once more, in the language of Go, where it frames
every message by its role alone; that it does is tried on dialogues.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from components.lib.text.chat import render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Dialogue = list[tuple[str, str]]
"""Roles and contents."""

_A, _B, _C = "\0", "\1", "\2"  # stand for contents
_TRIED: tuple[Dialogue, ...] = (
    [("user", "x")],
    [("user", "x"), ("assistant", "y"), ("user", "z")],
    [("user", "x"), ("assistant", "y"), ("user", "z"), ("assistant", "v"), ("user", "w")],
)


class Frames(NamedTuple):
    """What a chat template sets around contents."""

    opening: str
    """Before a dialogue that begins without a system message."""
    around: dict[str, tuple[str, str]]
    """Before and after a content, by role."""
    asking: str
    """Before the answer that is asked for."""

    def render(self, dialogue: Dialogue) -> str:
        """Return the text that asks for an answer."""
        opening = "" if dialogue[0][0] == "system" else self.opening
        parts = (content.join(self.around[role]) for role, content in dialogue)
        return "".join([opening, *parts, self.asking])

    def in_go(self) -> str:
        """Return the template in the language of Go."""
        kinds = [
            f'if eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}'
            for role, (before, after) in self.around.items()
        ]
        opening = ""
        if self.opening:
            opening = (
                f'{{{{ if ne (index .Messages 0).Role "system" }}}}{self.opening}{{{{ end }}}}'
            )
        loop = "{{ range .Messages }}{{ " + "{{ else ".join(kinds) + "{{ end }}{{ end }}"
        return opening + loop + self.asking


def modelfile(file_name: str, tokenizer: "PreTrainedTokenizerFast", ends: Iterable[int]) -> str:
    """Return the Modelfile beside a GGUF file; it stops at each of `ends`.

    It has no TEMPLATE where the chat template is none that frames contents by role: Ollama then
    sends the prompt as it is.
    """
    lines = [f"FROM ./{file_name}"]
    frames = frames_of(tokenizer)
    if frames is not None:
        lines.append(f'TEMPLATE """{frames.in_go()}"""')
    lines += [f'PARAMETER stop "{tokenizer.convert_ids_to_tokens(end)}"' for end in sorted(ends)]
    return "\n".join([*lines, ""])


def frames_of(tokenizer: "PreTrainedTokenizerFast") -> Frames | None:
    """Return what a chat template sets around contents, None if it does more, or there is none."""
    if tokenizer.chat_template is None:
        return None
    try:
        frames = _taken_apart(tokenizer)
        tried = [*_TRIED]
        if "system" in frames.around:
            tried.append([("system", "s"), *_TRIED[1]])
        same = all(frames.render(each) == _whole(tokenizer, each, True) for each in tried)
    except ValueError:  # it refuses a dialogue, or does not show a content once
        return None
    spelled = repr(frames)
    return frames if same and '"""' not in spelled and "{{" not in spelled else None


def _whole(tokenizer: "PreTrainedTokenizerFast", dialogue: Dialogue, asks: bool = False) -> str:
    messages = [{"role": role, "content": content} for role, content in dialogue]
    return render(tokenizer, messages, is_open=asks)


def _taken_apart(tokenizer: "PreTrainedTokenizerFast") -> Frames:
    """Read off the frames of each role where contents stand beside each other."""
    start, after_user = _whole(tokenizer, [("user", _A)]).split(_A)
    _, middle, after_assistant = _split(
        _whole(tokenizer, [("user", _A), ("assistant", _B)]), _A, _B
    )
    turns = [("user", _A), ("assistant", _B), ("user", _C)]
    before_user = _split(_whole(tokenizer, turns), _B, _C)[1].removeprefix(after_assistant)
    asked = _whole(tokenizer, [("user", _A)], asks=True).split(_A)[1]
    around = {
        "user": (before_user, after_user),
        "assistant": (middle.removeprefix(after_user), after_assistant),
    }
    try:
        before_system, between, _ = _split(
            _whole(tokenizer, [("system", _A), ("user", _B)]), _A, _B
        )
        around = {"system": (before_system, between.removesuffix(before_user)), **around}
    except ValueError:
        pass  # a model that was taught no system message
    return Frames(start.removesuffix(before_user), around, asked.removeprefix(after_user))


def _split(text: str, first: str, second: str) -> tuple[str, str, str]:
    """Return what stands before, between and after two contents; ValueError if not once each."""
    before, rest = text.split(first)
    between, after = rest.split(second)
    return before, between, after
