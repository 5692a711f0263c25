"""How many bytes of text a token stands for."""

import json
import math

import numpy as np
import pytest
from tokenizers import Tokenizer

from components.lib.text.chat import SPECIAL_TOKENS
from components.lib.text.tokens import bits_per_byte, byte_lengths


def test_the_bytes_of_its_tokens_are_the_bytes_of_a_text(vocabulary):
    lengths = byte_lengths(vocabulary.path, vocabulary.vocab_size)
    tokenizer = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
    for text in ("The Union of 1790.", "  naïve — 漢字 🜂\n\tdef f(x): 'y'", "\x00", ""):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert lengths[ids].sum() == len(text.encode()), text


def test_special_tokens_stand_for_no_text_and_all_others_for_some(vocabulary):
    lengths = byte_lengths(vocabulary.path, vocabulary.vocab_size)
    assert lengths.dtype == np.int32
    assert lengths.shape == (vocabulary.vocab_size,)
    tokenizer = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
    special = {tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
    assert {int(i) for i in np.flatnonzero(lengths == 0)} == special
    assert (lengths == 1).sum() >= 256


def test_a_token_that_is_no_sequence_of_bytes_is_refused(vocabulary, tmp_path):
    """A tokenizer of another kind would give bits per byte that mean nothing."""
    content = json.loads((vocabulary.path / "tokenizer.json").read_text("utf-8"))
    vocab = content["model"]["vocab"]
    vocab["a b"] = vocab.pop("Ġthe")  # a space, which byte-level BPE writes as Ġ
    content["model"]["merges"] = []
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(AssertionError, match="a b"):
        byte_lengths(tmp_path, vocabulary.vocab_size)


def test_bits_per_byte_is_nats_over_ln_2_and_bytes():
    assert bits_per_byte(80 * math.log(2), 10) == pytest.approx(8.0)
