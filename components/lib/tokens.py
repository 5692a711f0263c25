"""What tokens stand for in bytes, and the bits per byte that follow from it."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

_ALPHABET = set(ByteLevel.alphabet())  # 256 characters, each of which stands for one byte


def byte_lengths(folder: Path, vocab_size: int) -> NDArray[np.int32]:
    """Return the bytes of text that each id of a byte-level tokenizer stands for, shape (V,).

    Special tokens stand for no text: 0 bytes.
    """
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    special = tokenizer.get_added_tokens_decoder()
    lengths = np.zeros(vocab_size, np.int32)
    for token, index in tokenizer.get_vocab().items():
        if index not in special:
            assert set(token) <= _ALPHABET, token
            lengths[index] = len(token)
    return lengths


def bits_per_byte(nats: float, num_bytes: int) -> float:
    """Return the mean bits that a model needs for a byte of text, from the nats of its tokens."""
    return nats / (math.log(2) * num_bytes)
