"""Replay: the dialogues stay as they are, and the stated share of real text is among them."""

import numpy as np
import pytest

from components.finetune.replay import WithReplay
from components.lib.examples.batches import IGNORED, POSITIONS, Batch
from components.lib.examples.dialogues import Dialogues
from components.lib.examples.shards import Sequences
from components.lib.models.folders import load_tokenizer
from components.lib.tasks.microtasks import generate

LENGTH = 48


@pytest.fixture(scope="module")
def dialogues(vocabulary) -> Dialogues:
    tokenizer = load_tokenizer(vocabulary.path)
    return Dialogues(
        tokenizer, [task.dialogue() for task in generate(seed=3, num_instances=200)], 128
    )


@pytest.fixture(scope="module")
def text(shards) -> Sequences:
    return Sequences(shards.path / "train", LENGTH)


def parts_of(batch: Batch) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return inputs and targets of all that a batch holds, sorted: one part begins at each 0."""
    parts = []
    for row, width in enumerate(batch.widths().tolist()):
        (starts,) = np.nonzero(batch.extras[POSITIONS][row, :width] == 0)
        for start, end in zip(starts, [*starts[1:], width], strict=True):
            sides = batch.inputs[row, start:end], batch.targets[row, start:end]
            parts.append(tuple(tuple(side.tolist()) for side in sides))
    return sorted(parts)


def windows_of(batch: Batch) -> set[tuple[int, ...]]:
    """Return the inputs of the parts that are text: each of their tokens bears a loss."""
    return {inputs for inputs, targets in parts_of(batch) if IGNORED not in targets}


@pytest.mark.parametrize(("share", "num_windows"), [(0.0, 0), (0.2, 50), (0.5, 200)])
def test_the_share_of_text_is_the_one_that_was_asked(dialogues, text, share, num_windows):
    batch = WithReplay(dialogues, text, share).batch(np.arange(200))
    assert len(parts_of(batch)) == 200 + num_windows
    assert len(windows_of(batch)) == num_windows
    assert num_windows == pytest.approx(share * len(parts_of(batch)), abs=0.5)


def test_a_batch_brings_the_same_text_however_it_is_cut_into_processes(dialogues, text):
    replay = WithReplay(dialogues, text, 0.4)
    whole = replay.batch(np.arange(40))
    parts = [replay.batch(np.arange(40)[rank::2]) for rank in range(2)]
    assert sorted(parts_of(parts[0]) + parts_of(parts[1])) == parts_of(whole)
    shares = [whole.rows(slice(rank, None, 2)) for rank in range(2)]
    assert sorted(parts_of(shares[0]) + parts_of(shares[1])) == parts_of(whole)


def test_the_dialogues_are_as_they_are_without_replay(dialogues, text):
    chosen = np.array([5, 90, 17, 3])
    alone, mixed = dialogues.batch(chosen), WithReplay(dialogues, text, 0.5).batch(chosen)
    assert set(parts_of(alone)) < set(parts_of(mixed))
    assert len(parts_of(mixed)) == 8


def test_the_text_is_windows_of_the_shards_and_every_token_of_it_bears_loss(dialogues, text):
    known = {tuple(window) for window in text.windows(np.arange(len(text))).tolist()}
    found = parts_of(WithReplay(dialogues, text, 0.4).batch(np.arange(30)))
    windows = [(inputs, targets) for inputs, targets in found if IGNORED not in targets]
    assert windows
    for inputs, targets in windows:
        assert (*inputs, targets[-1]) in known
        assert inputs[1:] == targets[:-1]


def test_the_same_dialogues_bring_the_same_text_and_others_bring_other_text(dialogues, text):
    """So a resumed run sees what it would have seen."""
    replay = WithReplay(dialogues, text, 0.3)
    first, again = (replay.batch(np.arange(20)) for _ in range(2))
    assert np.array_equal(first.inputs, again.inputs)
    other = replay.batch(np.arange(100, 120))
    assert not windows_of(first) & windows_of(other)
    assert len(replay) == len(dialogues)


def test_over_an_epoch_the_text_comes_from_everywhere(dialogues, text):
    replay = WithReplay(dialogues, text, 0.5)
    steps = (replay.batch(np.arange(start, start + 20)) for start in range(0, 200, 20))
    seen = {window for step in steps for window in windows_of(step)}
    assert len(seen) == 200
    places = [
        place
        for place, window in enumerate(text.windows(np.arange(len(text)))[:, :-1].tolist())
        if tuple(window) in seen
    ]
    assert min(places) < 0.05 * len(text)
    assert max(places) > 0.95 * len(text)
