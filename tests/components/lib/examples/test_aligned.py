"""Two tokenizers on one text: where both cut, and what stands between."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from components.lib.examples.aligned import (
    ALIGNED,
    INPUTS,
    STUDENT_CHUNKS,
    TARGETS,
    TEACHER_CHUNKS,
    AlignedText,
)
from components.lib.examples.batches import IGNORED
from components.lib.examples.windows import Windows
from components.lib.text.token_bytes import TokenBytes

_spec = importlib.util.spec_from_file_location(
    "foreign", Path(__file__).parents[2] / "pretrain" / "foreign.py"
)
assert _spec is not None and _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)


class OneWindow:
    """A single example."""

    def __init__(self, ids: list[int]) -> None:
        self.window = np.array(ids)

    def __len__(self) -> int:
        return 1

    def batch(self, indices):
        from components.lib.examples.batches import Batch

        rows = np.tile(self.window, (len(indices), 1))
        return Batch(rows[:, :-1].copy(), rows[:, 1:].copy())


@pytest.mark.parametrize("teacher", ["smol", "gemma"])
def test_what_two_tokenizers_call_a_chunk_are_the_same_bytes(teacher, shards, vocabulary, tmp_path):
    folder = getattr(foreign, teacher)(tmp_path)
    own, other = TokenBytes.of(vocabulary.path), TokenBytes.of(folder)
    windows = Windows(shards.path / "train", 64)
    text = AlignedText(windows, vocabulary.path, folder, longest=100)
    indices = np.arange(0, len(windows), 40)
    batch = text.batch(indices)
    assert batch.extras[INPUTS].shape[1] <= 100
    plain = windows.batch(indices)
    assert (batch.inputs == plain.inputs).all()
    num_chunks = num_ends = 0
    for row in range(len(batch)):
        ours, theirs = batch.extras[STUDENT_CHUNKS][row], batch.extras[TEACHER_CHUNKS][row]
        for chunk in range(ours.max()):  # the last one may be cut where the teacher's context ends
            left = batch.targets[row][ours == chunk].tolist()
            right = batch.extras[TARGETS][row][theirs == chunk].tolist()
            assert IGNORED not in right
            says_end = own.end in left
            assert says_end == (other.end in right)
            one = b"".join(own.tokens[token] for token in left)
            two = b"".join(other.tokens[token] for token in right)
            assert one == two or (teacher == "gemma" and b" " + one == two)
            num_chunks, num_ends = num_chunks + 1, num_ends + says_end
    assert num_chunks > 20 * len(batch)
    assert num_ends > 0


def test_a_place_is_aligned_where_both_have_read_the_same_bytes(vocabulary, tmp_path):
    folder = foreign.smol(tmp_path)
    tokenizer = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
    own, other = TokenBytes.of(vocabulary.path), TokenBytes.of(folder)
    ids = tokenizer.encode("The sea is 海, and so on.", add_special_tokens=False).ids
    ids += [own.end, *tokenizer.encode("Another", add_special_tokens=False).ids]
    batch = AlignedText(OneWindow(ids), vocabulary.path, folder, 256).batch(np.array([0]))
    inputs, aligned = batch.extras[INPUTS][0], batch.extras[ALIGNED][0]
    for place, there in enumerate(aligned.tolist()):
        read = b"".join(own.tokens[token] or b"|" for token in ids[: place + 1])
        assert there >= 0, "the teacher cuts after every byte"
        assert b"".join(other.tokens[token] or b"|" for token in inputs[: there + 1]) == read
    assert batch.extras[INPUTS].shape == (1, len("The sea is 海, and so on.".encode()) + 8)


def test_text_that_a_tokenizer_does_not_give_back_is_left_alone(vocabulary, tmp_path):
    folder = foreign.smol(tmp_path)
    file = folder / "tokenizer.json"
    lowers = '"normalizer":{"type":"Lowercase"}'
    file.write_text(file.read_text("utf-8").replace('"normalizer":null', lowers), "utf-8")
    tokenizer = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
    for text, is_read in (("the sea is salty", True), ("The Sea is salty", False)):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        batch = AlignedText(OneWindow(ids), vocabulary.path, folder, 256).batch(np.array([0]))
        assert (batch.extras[ALIGNED] >= 0).any() == is_read
        assert (batch.extras[STUDENT_CHUNKS] >= 0).any() == is_read


def test_a_window_that_begins_and_ends_within_a_letter_is_read_between(vocabulary, tmp_path):
    folder = foreign.smol(tmp_path)
    own = TokenBytes.of(vocabulary.path)
    ids = [own.tokens.index(bytes([byte])) for byte in "海a b海".encode()]
    window = ids[1:-1]
    batch = AlignedText(OneWindow(window), vocabulary.path, folder, 256).batch(np.array([0]))
    other = TokenBytes.of(folder)
    read = [other.tokens[token] for token in batch.extras[INPUTS][0]]
    assert read == [b"a", b" ", b"b"]
    assert batch.extras[ALIGNED][0].tolist() == [-1, -1, 0, 1, 2, -1]
