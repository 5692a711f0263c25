"""Talk to a model in a folder: what it answers, and how sure it was of every token.

Where the folder has an int8 export, nothing here loads torch or transformers: a person waits.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from components.lib.inference.language_model import Drawn, LanguageModel, likeliest
from components.lib.inference.sampling import Sampling
from components.lib.text.chat_tokenizer import ChatTokenizer

_CUT = "\ufffd"  # what a character decodes to whose last bytes are yet to come


class Chosen(NamedTuple):
    """A token of an answer."""

    id: int
    """In the vocabulary."""
    text: str
    """What it stands for."""
    probability: float
    """That the model gave it, before temperature and top-p."""
    likeliest: tuple[tuple[str, float], ...]
    """The tokens that the model held most likely here, with their probabilities."""


def exported(folder: Path) -> Path | None:
    """Return where the int8 export of a model lies, None if it has none."""
    places = (folder / "onnx", folder)
    return next((place for place in places if (place / "model.onnx").exists()), None)


def gguf_file(folder: Path) -> Path | None:
    """Return the GGUF file of a model, None if it has none."""
    places = (folder / "gguf" / "model.gguf", folder / "model.gguf")
    return next((place for place in places if place.exists()), None)


def open_model(folder: Path, num_threads: int, as_exported: bool = True) -> LanguageModel:
    """Load the model in `folder`: its export, if it has one and `as_exported`.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    export = exported(folder) if as_exported else None
    if export is not None:
        from components.lib.inference.onnx_model import OnnxModel

        return OnnxModel(export, num_threads)
    if as_exported and (file := gguf_file(folder)) is not None:
        from components.lib.inference.llama.gguf_model import LlamaCppModel

        return LlamaCppModel(file, num_threads)
    from components.lib.inference.torch_model import TorchModel
    from components.lib.models.folders import load_model

    return TorchModel(load_model(folder))


class Conversation:
    """A loaded model and its tokenizer."""

    def __init__(self, folder: Path, num_threads: int, as_exported: bool = True) -> None:
        """Load the model in `folder`; `as_exported` says which, where there are two.

        Raises:
            ValueError: there is none, or it is damaged.
        """
        self._tokenizer = ChatTokenizer(folder)
        self.model = open_model(folder, num_threads, as_exported)

    @cached_property
    def end(self) -> int | None:
        """Id that the chat template sets after an answer."""
        return self._tokenizer.answer_end

    def next_tokens(self, text: str, number: int) -> list[tuple[str, float]]:
        """Return the likeliest tokens after `text` with their probabilities."""
        number = min(number, self.model.vocab_size)
        top = self.model.next_token_probabilities(self.read(text), number)
        return [(self._tokenizer.decode([token]), share) for token, share in top]

    def read(self, text: str) -> list[int]:
        """Return the ids of text to go on from."""
        return self._tokenizer.encode_text(text)

    def ask(self, message: str) -> list[int]:
        """Return the ids of one user message, as the chat template frames it."""
        return self._tokenizer.encode_prompt(message)

    def text(self, tokens: Sequence[Chosen]) -> str:
        """Return what some tokens say together: a letter may be made of several."""
        return self._tokenizer.decode([token.id for token in tokens])

    def answer(self, message: str, sampling: Sampling | None = None) -> str:
        """Return the model's answer to one user message."""
        return self.text(list(self.stream(self.ask(message), sampling or Sampling())))

    def stream(
        self, ids: list[int], sampling: Sampling, num_likeliest: int = 5
    ) -> Iterator[Chosen]:
        """Yield the tokens after `ids` one by one, without the end-of-text token.

        Each is read once: keys and values of those before are kept. Stops where the context is
        full.

        Raises:
            ValueError: `ids` are none, or leave no room in the context.
        """
        drawn = self.model.stream(ids, sampling)  # checks at once, not at the first token
        return self._chosen(drawn, num_likeliest)

    def spoken(self, tokens: Iterable[Chosen]) -> Iterator[str]:
        """Yield the text of tokens as it comes, in whole characters."""
        seen: list[Chosen] = []
        said = ""
        for token in tokens:
            seen.append(token)
            text = self.text(seen)
            if not text.endswith(_CUT):
                yield text[len(said) :]
                said = text
        if seen:
            yield self.text(seen)[len(said) :]

    def _chosen(self, drawn: Iterator[Drawn], num_likeliest: int) -> Iterator[Chosen]:
        decode, end = self._tokenizer.decode, self._tokenizer.end_id
        for token, probabilities in drawn:
            if token == end:
                return
            best = likeliest(probabilities, num_likeliest)
            top = tuple((decode([each]), share) for each, share in best)
            yield Chosen(token, decode([token]), float(probabilities[token]), top)
