"""A tokenizer in Hugging Face layout, read without transformers: to talk to a model at once.

Its ids are those of `components.lib.text.chat`, which training uses.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from tokenizers import Tokenizer

from components.lib.text.chat import before

_NAMES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
_MESSAGE = "\0"  # stands for a user's message while the template is rendered
_ANSWER = "\1"  # stands for an answer


class ChatTokenizer:
    """Text to token ids and back, and the chat template."""

    def __init__(self, folder: Path) -> None:
        """Load the tokenizer of the model in `folder`.

        Raises:
            ValueError: the folder has none, or one that is damaged.
        """
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise ValueError(
                f"{folder} has no tokenizer.json, so its model cannot read text. "
                "Save the tokenizer it was trained with into the same folder."
            )
        self._folder = folder
        self._config = _read_config(folder)
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises no narrower one
            raise ValueError(f"{file} is no tokenizer ({error}). Save it again.") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._lock = Lock()  # the sessions of a dashboard share a tokenizer, and it has one switch

    @cached_property
    def end_id(self) -> int | None:
        """Id of the token that ends a text, if the tokenizer names one."""
        end = self._special_tokens.get("eos_token")
        return None if end is None else self._tokenizer.token_to_id(end)

    @cached_property
    def answer_end(self) -> int | None:
        """Id that the chat template sets after an answer, else `end_id`."""
        from components.lib.text.template import render

        messages = [
            {"role": "user", "content": _MESSAGE},
            {"role": "assistant", "content": _ANSWER},
        ]
        text = render(self._template, messages, self._special_tokens, asks=False)
        added = self._tokenizer.get_added_tokens_decoder()
        after = self.encode(text.rpartition(_ANSWER)[2])
        return next((token for token in after if token in added), self.end_id)

    def encode(self, text: str) -> list[int]:
        """Return the ids of text; special tokens in it are special."""
        return self._ids(text, special_as_text=False)

    def encode_text(self, text: str) -> list[int]:
        """Return the ids of text to go on from, after what the tokenizer sets before every text."""
        return [*self._beginning, *self.encode(text)]

    @cached_property
    def _beginning(self) -> list[int]:
        whole, plain = (
            self._tokenizer.encode("a", add_special_tokens=b).ids for b in (True, False)
        )
        return before(plain, whole)

    def encode_prompt(self, message: str) -> list[int]:
        """Return the ids that ask the model to answer one user message.

        What looks like a special token in it is text: nobody can end a turn from within.

        Raises:
            ValueError: the model has no chat template, or one that takes no such message.
        """
        before, after = self._frame
        text = message.strip() if self._trims else message
        return [*before, *self._ids(text, special_as_text=True), *after]

    def encode_messages(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[int]:
        """Return the ids that ask the model to go on with a dialogue, in OpenAI's form.

        What looks like a special token in a message is text.

        Raises:
            ValueError: the model has no chat template, or one that refuses these messages.
        """
        from components.lib.text.template import render

        def rendered(some: Sequence[Mapping[str, Any]]) -> str:
            return render(self._template, some, self._special_tokens, tools=tools)

        whole = rendered(messages)
        if not any(self._has_special(each.get("content") or "") for each in messages):
            return self.encode(whole)
        marks = [f"\0{place}\0" for place in range(len(messages))]
        pairs = list(zip(messages, marks, strict=True))
        marked = rendered([{**each, "content": mark} for each, mark in pairs])
        ids: list[int] = []
        for message, mark in pairs:
            before, found, marked = marked.partition(mark)
            text = message.get("content") or ""
            if not found:
                raise ValueError(
                    f"The chat template in {self._folder} does not show every message once, so a "
                    "message that spells a special token cannot be told from the frame."
                )
            text = text.strip() if self._trims else text
            ids += [*self.encode(before), *self._ids(text, special_as_text=True)]
        return [*ids, *self.encode(marked)]

    def _has_special(self, text: str) -> bool:
        return any(token in text for token in self._special_texts)

    @cached_property
    def _special_texts(self) -> list[str]:
        added = self._tokenizer.get_added_tokens_decoder().values()
        return [token.content for token in added if token.special]

    def decode_answer(self, ids: Sequence[int]) -> str:
        """Return the text of an answer's ids, without special tokens."""
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some token ids, special ones included."""
        return self._tokenizer.decode(ids, skip_special_tokens=False)

    def _ids(self, text: str, special_as_text: bool) -> list[int]:
        with self._lock:
            self._tokenizer.encode_special_tokens = special_as_text
            return self._tokenizer.encode(text, add_special_tokens=False).ids

    @cached_property
    def _frame(self) -> tuple[list[int], list[int]]:
        """The ids before and after a user's message."""
        parts = self._render(_MESSAGE).split(_MESSAGE)
        if len(parts) != 2:
            raise ValueError(
                f"The chat template in {self._folder} shows a message {len(parts) - 1} times: "
                "it must show it once."
            )
        return self.encode(parts[0]), self.encode(parts[1])

    @cached_property
    def _trims(self) -> bool:
        """Whether the template takes the outer space off a message."""
        return self._render(f" {_MESSAGE} ") == self._render(_MESSAGE)

    def _render(self, message: str) -> str:
        from components.lib.text.template import render  # jinja2 is not needed to continue text

        messages = [{"role": "user", "content": message}]
        return render(self._template, messages, self._special_tokens)

    @cached_property
    def _template(self) -> str:
        file = self._folder / "chat_template.jinja"
        found = file.read_text("utf-8") if file.is_file() else self._config.get("chat_template")
        if isinstance(found, list):  # several, by name
            found = {each["name"]: each["template"] for each in found}.get("default")
        if not found:
            raise ValueError(
                f"{self._folder} has no chat template, so its model was not taught to answer: "
                "use `bloomery generate`, which goes on from text."
            )
        return found

    @cached_property
    def _special_tokens(self) -> dict[str, str]:
        found = {name: self._config.get(name) for name in _NAMES}
        return {
            name: token["content"] if isinstance(token, dict) else token
            for name, token in found.items()
            if token is not None
        }


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "tokenizer_config.json"
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}
