"""What tokens stand for in bytes, and the bits per byte that follow from it."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def byte_lengths(folder: Path, vocab_size: int) -> NDArray[np.int32]:
    """Return the bytes of text that each id of a tokenizer stands for, shape (V,).

    Special tokens stand for no text, and neither does one for unknown text: 0 bytes. The lengths of
    a text's tokens are its UTF-8 bytes if the tokenizer gives every text back exactly. Of one that
    loses some (unknown words, spaces that WordPiece's decoder puts back by rule), they are fewer,
    so that bits per byte come out too high, never too low.
    """
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    steps = decoding_steps(json.loads(tokenizer.to_str())["decoder"])
    added, unknown = tokenizer.get_added_tokens_decoder(), unknown_id(tokenizer)
    lengths = np.zeros(vocab_size, np.int32)
    for token, index in tokenizer.get_vocab().items():
        if index in added:
            lengths[index] = 0 if added[index].special else len(token.encode())
        elif index != unknown:
            lengths[index] = len(bytes_of(token, steps))
    return lengths


def decoding_steps(decoder: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return what a decoder does to tokens, one thing after the other."""
    if decoder is None:
        return []
    return decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """Return the id of unknown text, if the model has one."""
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    token = model.get("unk_token")
    return model.get("unk_id") if token is None else tokenizer.token_to_id(token)


def bytes_of(token: str, steps: list[dict[str, Any]]) -> bytes:
    """Return the bytes of the text that decoding makes of a token, as it stands within a text."""
    for step in steps:
        kind = step["type"]
        if kind == "ByteLevel":
            assert set(token) <= _LETTERS.keys(), token
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


def _letters() -> dict[str, int]:
    """Return the byte that each letter of the byte-level alphabet stands for (GPT-2's)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]  # they stand for themselves
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {chr(byte): byte for byte in shown}
    return letters | {chr(256 + place): byte for place, byte in enumerate(hidden)}


_LETTERS = _letters()


def bits_per_byte(nats: float, num_bytes: int) -> float:
    """Return the mean bits that a model needs for a byte of text, from the nats of its tokens."""
    return nats / (math.log(2) * num_bytes)
