"""Replay: the instructions stay as they are, and the stated share of real text comes after them."""

import numpy as np
import pytest

from components.finetune.replay import WithReplay
from components.lib.examples.batches import IGNORED
from components.lib.examples.instructions import Instructions
from components.lib.examples.shards import Sequences
from components.lib.models.folders import load_tokenizer
from components.lib.tasks.microtasks import generate

LENGTH = 48


@pytest.fixture(scope="module")
def instructions(vocabulary) -> Instructions:
    return Instructions(load_tokenizer(vocabulary.path), generate(seed=3, num_instances=200))


@pytest.fixture(scope="module")
def text(shards) -> Sequences:
    return Sequences(shards.path / "train", LENGTH)


@pytest.mark.parametrize(("share", "rows_of_text"), [(0.0, 0), (0.2, 50), (0.5, 200)])
def test_the_share_of_text_is_the_one_that_was_asked(instructions, text, share, rows_of_text):
    batch = WithReplay(instructions, text, share).batch(np.arange(200))
    assert len(batch.inputs) == len(batch.targets) == 200 + rows_of_text
    assert rows_of_text == pytest.approx(share * len(batch.inputs), abs=0.5)


def test_a_batch_brings_the_same_text_however_it_is_cut_into_processes(instructions, text):
    replay = WithReplay(instructions, text, 0.4)
    whole = {tuple(row[:LENGTH]) for row in replay.batch(np.arange(40)).inputs[40:].tolist()}
    parts = [replay.batch(np.arange(40)[rank::2]) for rank in range(2)]
    assert {tuple(row[:LENGTH]) for part in parts for row in part.inputs[20:].tolist()} == whole


def test_the_instructions_come_first_and_as_they_are_without_replay(instructions, text):
    chosen = np.array([5, 90, 17, 3])
    alone, mixed = instructions.batch(chosen), WithReplay(instructions, text, 0.5).batch(chosen)
    width = alone.inputs.shape[1]
    assert np.array_equal(mixed.inputs[:4, :width], alone.inputs)
    assert np.array_equal(mixed.targets[:4, :width], alone.targets)
    assert (mixed.targets[:4, width:] == IGNORED).all(), "padding bears a loss"


def test_the_text_is_windows_of_the_shards_and_every_token_of_it_bears_loss(instructions, text):
    batch = WithReplay(instructions, text, 0.4).batch(np.arange(30))
    known = {tuple(window) for window in text.windows(np.arange(len(text))).tolist()}
    for inputs, targets in zip(batch.inputs[30:], batch.targets[30:], strict=True):
        assert (*inputs[:LENGTH].tolist(), int(targets[LENGTH - 1])) in known
        assert inputs[1:LENGTH].tolist() == targets[: LENGTH - 1].tolist()
        assert (targets[LENGTH:] == IGNORED).all()


def test_the_same_instructions_bring_the_same_text_and_others_bring_other_text(instructions, text):
    """So a resumed run sees what it would have seen."""
    replay = WithReplay(instructions, text, 0.3)
    first, again = (replay.batch(np.arange(20)) for _ in range(2))
    assert np.array_equal(first.inputs, again.inputs)
    other = replay.batch(np.arange(100, 120))
    texts = {tuple(row[:LENGTH]) for row in first.inputs[20:].tolist()}
    assert not texts & {tuple(row[:LENGTH]) for row in other.inputs[20:].tolist()}
    assert len(replay) == len(instructions)


def test_over_an_epoch_the_text_comes_from_everywhere(instructions, text):
    replay = WithReplay(instructions, text, 0.5)
    seen = {
        tuple(row[:LENGTH])
        for start in range(0, 200, 20)
        for row in replay.batch(np.arange(start, start + 20)).inputs[20:].tolist()
    }
    assert len(seen) == 200
    places = [
        place
        for place, window in enumerate(text.windows(np.arange(len(text)))[:, :-1].tolist())
        if tuple(window) in seen
    ]
    assert min(places) < 0.05 * len(text)
    assert max(places) > 0.95 * len(text)
