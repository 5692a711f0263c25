"""The very bytes that tokens stand for: where two tokenizers can be held against each other."""

import json
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from components.lib.text.framing import framing
from components.lib.text.tokens import bytes_of, decoding_steps, unknown_id


class TokenBytes(NamedTuple):
    """The tokens of a tokenizer as bytes of text."""

    tokens: list[bytes]
    """Of each id; empty for special tokens, unknown text, and ids that are none."""
    end: int
    """Id that ends a document."""
    begin: int | None
    """Id that is set before every text, if one is."""

    @classmethod
    def of(cls, folder: Path) -> "TokenBytes":
        """Return those of the tokenizer in `folder`.

        Raises:
            ValueError: it has no token that ends a document.
        """
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        frame, added = framing(folder), tokenizer.get_added_tokens_decoder()
        vocabulary, unknown = tokenizer.get_vocab(), unknown_id(tokenizer)
        steps = decoding_steps(json.loads(tokenizer.to_str())["decoder"])
        tokens = [b""] * (max(vocabulary.values()) + 1)
        for token, index in vocabulary.items():
            if index in added:
                tokens[index] = b"" if added[index].special else token.encode()
            elif index != unknown:
                tokens[index] = bytes_of(token, steps)
        return cls(tokens, frame.end, frame.begin)
