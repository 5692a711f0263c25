"""Talk to a model in a folder: what it answers, and how sure it was of every token."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from components.core.artifacts.base import Frozen
from components.lib.inference.onnx_model import OnnxModel
from components.lib.inference.torch_model import TorchModel
from components.lib.models.folders import load_model, load_tokenizer
from components.lib.text.chat import decode, encode_prompt


class Sampling(Frozen):
    """How the next token is drawn."""

    max_new_tokens: int = 64
    """Tokens of an answer, at most."""
    temperature: float = 0.0
    """Probabilities are raised to its inverse; at 0 the likeliest token is taken."""
    top_p: float = 1.0
    """Drawn from the likeliest tokens whose shares make this sum (Holtzman et al. 2020)."""
    seed: int = 0
    """Of the draws: the same one gives the same answer."""


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


def choose(
    ranked: Sequence[tuple[int, float]], sampling: Sampling, random: Random
) -> tuple[int, float]:
    """Draw from tokens and their probabilities, the likeliest first."""
    if sampling.temperature == 0:
        return ranked[0]
    best = ranked[0][1]  # shares of it: small ones raised to a high power are not all zero
    weights = [(share / best) ** (1 / sampling.temperature) for _, share in ranked]
    whole, num_kept, sum_kept = sum(weights), 0, 0.0
    while num_kept < len(ranked) and (num_kept == 0 or sum_kept < sampling.top_p * whole):
        sum_kept += weights[num_kept]
        num_kept += 1
    return random.choices(ranked[:num_kept], weights[:num_kept])[0]


class Conversation:
    """A loaded model and its tokenizer: the int8 export where the folder has one."""

    def __init__(self, folder: Path, num_threads: int, as_exported: bool = True) -> None:
        """Load the model in `folder`; `as_exported` says which, where there are two.

        Raises:
            ValueError: there is none, or it is damaged.
        """
        self.folder = folder
        self._tokenizer = load_tokenizer(folder)
        export = exported(folder)
        if export is not None and as_exported:
            self._model = OnnxModel(export, num_threads)
            self.context_length = self._model.context_length
            self._vocab_size = self._model.vocab_size
        else:
            model = load_model(folder)
            self._model = TorchModel(model)
            self.context_length: int = model.config.max_position_embeddings
            self._vocab_size: int = model.config.vocab_size
        end = self._tokenizer.eos_token_id
        assert isinstance(end, int), end
        self.end = end

    def complete(self, text: str, max_new_tokens: int) -> str:
        """Return how the model goes on from `text`."""
        return self._decode(self.read(text), max_new_tokens)

    def answer(self, message: str, max_new_tokens: int = 64) -> str:
        """Return the model's answer to one user message."""
        return self._decode(self.ask(message), max_new_tokens)

    def next_tokens(self, text: str, number: int) -> list[tuple[str, float]]:
        """Return the likeliest tokens behind `text` with their probabilities."""
        top = self._model.next_token_probabilities(self.read(text), number)
        return [(decode(self._tokenizer, [token]), share) for token, share in top]

    def read(self, text: str) -> list[int]:
        """Return the ids of text to go on from."""
        return self._tokenizer.encode(text, add_special_tokens=False)

    def ask(self, message: str) -> list[int]:
        """Return the ids of one user message, as the chat template frames it."""
        return encode_prompt(self._tokenizer, message)

    def text(self, tokens: Sequence[Chosen]) -> str:
        """Return what some tokens say together: a letter may be made of several."""
        return decode(self._tokenizer, [token.id for token in tokens])

    def stream(
        self, ids: list[int], sampling: Sampling, num_likeliest: int = 5
    ) -> Iterator[Chosen]:
        """Yield the tokens behind `ids` one by one, without the end-of-text token.

        Stops where the context is full. Every token reads all before it again: there is no
        key-value cache, so that each runtime's own scores are shown.

        Raises:
            ValueError: `ids` leave no room in the context.
        """
        if not 0 < len(ids) < self.context_length:
            raise ValueError(
                f"{len(ids)} tokens leave no room in a context of {self.context_length}: "
                "write less, or forget what was said before."
            )
        random, room = Random(sampling.seed), self.context_length - len(ids)
        seen = list(ids)
        for _ in range(min(sampling.max_new_tokens, room)):
            ranked = self._model.next_token_probabilities(seen, self._vocab_size)
            token, share = choose(ranked, sampling, random)
            if token == self.end:
                return
            top = tuple((decode(self._tokenizer, [i]), p) for i, p in ranked[:num_likeliest])
            yield Chosen(token, decode(self._tokenizer, [token]), share, top)
            seen.append(token)

    def _decode(self, ids: list[int], max_new_tokens: int) -> str:
        (made,) = self._model.generate([ids], max_new_tokens)
        return decode(self._tokenizer, made)
