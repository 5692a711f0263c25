"""How a tokenizer wants documents framed: what stands before a text, and what ends it."""

import json
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from components.lib.text.chat import END_OF_TEXT, before
from components.lib.text.tokens import byte_lengths

_ENDS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "<|end▁of▁sentence|>", "[SEP]")
"""What ends documents in the vocabularies of the field. A chat model's eos token may end a turn."""


class Framing(NamedTuple):
    """What is set around the tokens of a document."""

    begin: int | None
    """Id that the tokenizer sets before every text; None if it sets none."""
    end: int
    """Id that ends a document."""
    bytes_added: int
    """Bytes by which the lengths of a text's tokens exceed it: 1 where the tokenizer sets a space
    before the first word."""


def framing(folder: Path) -> Framing:
    """Return how the tokenizer in `folder` frames documents.

    Raises:
        ValueError: it has no token that ends a document.
    """
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    plain, whole = (tokenizer.encode("a", add_special_tokens=b).ids for b in (False, True))
    first = before(plain, whole)
    size = max(tokenizer.get_vocab().values()) + 1
    surplus = int(byte_lengths(folder, size)[plain].sum()) - 1
    return Framing(first[-1] if first else None, _end(tokenizer, folder), max(0, surplus))


def _end(tokenizer: Tokenizer, folder: Path) -> int:
    special = {
        token.content: index
        for index, token in tokenizer.get_added_tokens_decoder().items()
        if token.special
    }
    for name in (*_ENDS, eos_token(folder)):
        if name in special:
            return special[name]
    found = tokenizer.token_to_id(eos_token(folder) or "")
    if found is None:
        raise ValueError(
            f"The tokenizer in {folder} has no token that ends a document. Name one as eos_token "
            "in its tokenizer_config.json."
        )
    return found


def eos_token(folder: Path) -> str | None:
    """Return the token that the tokenizer's config names as the end."""
    file = folder / "tokenizer_config.json"
    named = json.loads(file.read_text("utf-8")).get("eos_token") if file.is_file() else None
    return named["content"] if isinstance(named, dict) else named
