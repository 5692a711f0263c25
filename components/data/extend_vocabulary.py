"""ExtendVocabulary: a tokenizer and documents -> the tokenizer with tokens of their language."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Corpus, Vocabulary
from components.core.component import Component
from components.core.tracking import spool
from components.data.vocabulary import sample
from components.lib.models.companions import copy_tokenizer
from components.lib.text.new_tokens import NewToken, write_new_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TOKENIZER = "tokenizer.json"
_MEASURED_BYTES = 1 << 20  # of the validation split
_FOUND_ANYWHERE = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)


class ExtendVocabularyInputs(Frozen):
    """What `ExtendVocabulary` reads."""

    vocabulary: Vocabulary
    """The tokenizer to extend."""
    corpus: Corpus
    """Clean documents."""


class ExtendVocabulary(Component[ExtendVocabularyInputs, Vocabulary]):
    """Give a tokenizer more tokens, those that it has left as they are.

    Tokens are learnt as merges that rank after the tokenizer's own: they stand for what it cut into
    several, and everything else is cut as before. Tokens that are `given` are found wherever they
    stand in a text, before it is cut. `new_tokens.jsonl` says of each what it stands in place of:
    a model that exists gets its rows from that. The spool says how much shorter held-out text is.
    """

    version: ClassVar[str] = "1.0.0"

    num_learnt: int = Field(default=0, ge=0)
    """Tokens to learn from the train split; of a byte-pair encoding alone. There may be fewer: a
    pair of tokens that occurs once makes none."""
    given: tuple[str, ...] = ()
    """Texts that become a token each, such as `["<think>", "</think>"]`."""
    sample_bytes: int = Field(default=1 << 26, gt=0)
    """UTF-8 bytes of the train split that tokens are learnt from, at most."""

    @model_validator(mode="after")
    def _adds_something(self) -> "ExtendVocabulary":
        if not self.num_learnt and not self.given:
            raise ValueError("It adds nothing: set num_learnt or given, or leave extend out.")
        if wrong := [text for text in self.given if not text.strip()]:
            raise ValueError(f"given has texts without a letter: {wrong}.")
        if len(set(self.given)) < len(self.given):
            raise ValueError(f"given names a token twice: {list(self.given)}.")
        return self

    def run(self, inputs: ExtendVocabularyInputs, out: Path) -> Vocabulary:
        """Save the extended tokenizer under `out`.

        Raises:
            ValueError: the tokenizer is of a kind that learns no merges, has a given token already
                or would set a space after it, or there is nothing to learn.
        """
        from tokenizers import Tokenizer

        old = Tokenizer.from_file(str(inputs.vocabulary.path / _TOKENIZER))
        old.no_truncation()
        old.no_padding()
        written = json.loads(old.to_str())
        new = self._learn(old, written["model"], inputs)
        new += self._give(old, written, inputs.vocabulary.vocab_size + len(new))
        copy_tokenizer(inputs.vocabulary.path, out)
        (out / _TOKENIZER).write_text(json.dumps(written, ensure_ascii=False), encoding="utf-8")
        write_new_tokens(out, new)
        extended = Tokenizer.from_file(str(out / _TOKENIZER))
        _require(old, extended, self.given)
        _measure(old, extended, inputs.corpus, out)
        return Vocabulary(path=out, vocab_size=inputs.vocabulary.vocab_size + len(new))

    def _learn(
        self, tokenizer: "Tokenizer", model: dict[str, Any], inputs: ExtendVocabularyInputs
    ) -> list[NewToken]:
        """Learn tokens, write them into the `model` of a tokenizer.json, and return them."""
        from components.data.tokens.merges import learn, words_of

        if not self.num_learnt:
            return []
        made = _Merged(model, inputs.vocabulary.vocab_size)
        texts = (document.text for document in sample(inputs.corpus, "train", self.sample_bytes))
        if not learn(words_of(tokenizer, texts), self.num_learnt, made.merge):
            raise ValueError(
                "No two tokens stand together twice in the train split, so there is no token to "
                "learn. Add documents, or set num_learnt=0."
            )
        model["vocab"] |= {token.token: token.id for token in made.tokens}
        model["merges"] += made.merges
        return made.tokens

    def _give(self, tokenizer: "Tokenizer", written: dict[str, Any], first: int) -> list[NewToken]:
        """Write the given tokens into a tokenizer.json, from the id `first` on, and return them."""
        if known := [text for text in self.given if tokenizer.token_to_id(text) is not None]:
            raise ValueError(f"The tokenizer has these tokens already: {known}. Leave them out.")
        tokens = [
            NewToken(first + n, text, tuple(tokenizer.encode(text, add_special_tokens=False).ids))
            for n, text in enumerate(self.given)
        ]
        if isinstance(written["model"]["vocab"], dict):  # else ids would be counted from its size
            written["model"]["vocab"] |= {token.token: token.id for token in tokens}
        written["added_tokens"] += [
            {"id": token.id, "content": token.token, **_FOUND_ANYWHERE} for token in tokens
        ]
        return tokens


class _Merged:
    """Tokens that are made of two of a BPE model, and merges that make them."""

    def __init__(self, model: dict[str, Any], first: int) -> None:
        if model["type"] != "BPE" or model.get("continuing_subword_prefix"):
            raise ValueError(
                f"A tokenizer of the kind {model['type']} has no merges to go on from. Name the "
                "tokens that it is to have (given), and set num_learnt=0."
            )
        bytes_alone = {f"<0x{byte:02X}>" for byte in range(256)} if model["byte_fallback"] else ()
        apart = {model.get("unk_token"), *bytes_alone}
        self._names = {index: name for name, index in model["vocab"].items() if name not in apart}
        self._taken = set(model["vocab"])
        self._parts: dict[int, tuple[int, ...]] = {index: (index,) for index in self._names}
        self._first = first
        self.tokens: list[NewToken] = []
        self.merges: list[list[str]] = []

    def merge(self, pair: tuple[int, int]) -> int | None:
        """Return the id of the token that a pair makes; None if it cannot, or is one already."""
        if not set(pair) <= self._names.keys():
            return None
        halves = [self._names[index] for index in pair]
        if (name := "".join(halves)) in self._taken:
            return None
        index = self._first + len(self.tokens)
        self._taken.add(name)
        self._names[index] = name
        self._parts[index] = self._parts[pair[0]] + self._parts[pair[1]]
        self.tokens.append(NewToken(index, name, self._parts[index]))
        self.merges.append(halves)
        return index


def _require(old: "Tokenizer", extended: "Tokenizer", given: Sequence[str]) -> None:
    """Raise ValueError if a given token changes the text around it."""
    for text in (f"x{token}x" for token in given):
        before, after = (
            each.decode(each.encode(text, add_special_tokens=False).ids) for each in (old, extended)
        )
        if before == text != after:
            raise ValueError(
                f"This tokenizer sets a space after every token that is added to it: {text!r} "
                f"would come back as {after!r}. Leave given out; num_learnt has no such fault."
            )


def _measure(old: "Tokenizer", extended: "Tokenizer", corpus: Corpus, out: Path) -> None:
    """Say in the spool how many bytes a token of held-out text has, before and after."""
    texts = [document.text for document in sample(corpus, "validation", _MEASURED_BYTES)]
    num_bytes = sum(len(text.encode()) for text in texts)
    for step, tokenizer in enumerate((old, extended)):
        tokenizer.encode_special_tokens = False
        encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        num_tokens = sum(len(each.ids) for each in encoded)
        spool.append(out, step, {"validation_bytes_per_token": num_bytes / max(1, num_tokens)})
