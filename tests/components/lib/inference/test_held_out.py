"""Held-out text: any model is measured on the same targets and the same bytes."""

import math

import numpy as np
import pytest
from tokenizers import Tokenizer

from components.lib.inference.held_out import HeldOut


class Uniform:
    """A model that knows nothing: ln V nats for every target."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.shapes: list[tuple[int, int]] = []

    def negative_log_likelihood(self, ids):
        self.shapes.append(ids.shape)
        return np.full((len(ids), ids.shape[1] - 1), math.log(self.vocab_size), np.float32)


def test_a_uniform_model_needs_log2_of_the_vocabulary_for_each_token(shards):
    held_out = HeldOut(shards, "test", length=32, number=40)
    num_targets = held_out.windows[:, 1:].size
    expected = math.log2(shards.vocab_size) * num_targets / held_out.num_bytes
    model = Uniform(shards.vocab_size)
    assert held_out.bits_per_byte(model) == pytest.approx(expected, rel=1e-6)
    assert sum(rows for rows, _ in model.shapes) == 40
    assert {columns for _, columns in model.shapes} == {33}


def test_the_bytes_are_those_of_the_text_that_the_targets_spell(shards, vocabulary):
    held_out = HeldOut(shards, "test", length=32, number=10)
    tokenizer = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
    vocab = {index: token for token, index in tokenizer.get_vocab().items()}
    special = tokenizer.get_added_tokens_decoder()
    # a character of a byte-level token is a byte
    spelled = [vocab[i] for i in held_out.windows[:, 1:].ravel().tolist() if i not in special]
    assert held_out.num_bytes == sum(map(len, spelled))


def test_the_same_sequences_are_taken_each_time_from_the_split_that_is_named(shards):
    first, again = (HeldOut(shards, "test", 32, 7).windows for _ in range(2))
    assert np.array_equal(first, again)
    other = HeldOut(shards, "validation", 32, 7).windows
    assert not np.array_equal(first, other)


def test_more_sequences_than_there_are_is_all_of_them(shards):
    held_out = HeldOut(shards, "test", length=64, number=10**6)
    files = (shards.path / "test").glob("shard_*.npy")
    assert len(held_out.windows) == sum((len(np.load(file)) - 1) // 64 for file in files)
