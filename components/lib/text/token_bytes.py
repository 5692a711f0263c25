"""The very bytes that tokens stand for: where two tokenizers can be held against each other."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from components.lib.text.framing import framing
from components.lib.text.tokens import unknown_id

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def _letters() -> dict[str, int]:
    """Return the byte that each letter of the byte-level alphabet stands for (GPT-2's)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]  # they stand for themselves
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {chr(byte): byte for byte in shown}
    return letters | {chr(256 + place): byte for place, byte in enumerate(hidden)}


_LETTERS = _letters()


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
        steps = _steps(json.loads(tokenizer.to_str())["decoder"])
        tokens = [b""] * (max(vocabulary.values()) + 1)
        for token, index in vocabulary.items():
            if index in added:
                tokens[index] = b"" if added[index].special else token.encode()
            elif index != unknown:
                tokens[index] = _bytes_of(token, steps)
        return cls(tokens, frame.end, frame.begin)


def _steps(decoder: dict[str, Any] | None) -> list[dict[str, Any]]:
    if decoder is None:
        return []
    return decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]


def _bytes_of(token: str, steps: list[dict[str, Any]]) -> bytes:
    """Return the bytes of text that decoding makes of a token, as it stands within a text."""
    for step in steps:
        kind = step["type"]
        if kind == "ByteLevel":
            return bytes(_LETTERS[letter] for letter in token)
        if kind == "ByteFallback" and (found := _BYTE.fullmatch(token)):
            return bytes([int(found[1], 16)])
        if kind == "Metaspace":
            token = token.replace(step["replacement"], " ")
        elif kind == "Replace" and "String" in step["pattern"]:
            token = token.replace(step["pattern"]["String"], step["content"])
        elif kind == "WordPiece":
            token = token.removeprefix(step["prefix"])
        elif kind == "BPEDecoder":
            token = token.removesuffix(step["suffix"])
    return token.encode()
