"""Windows of token shards: every token but the first is a target once, documents apart or not."""

import numpy as np

from components.lib.examples.batches import IGNORED, POSITIONS
from components.lib.examples.documents import Documents
from components.lib.examples.windows import Windows


def test_targets_are_the_inputs_one_token_on(shards):
    windows = Windows(shards.path / "train", 16)
    batch = windows.batch(np.array([0, 3]))
    assert np.array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    first = np.load(shards.path / "train" / "shard_00000.npy")
    assert batch.inputs[1].tolist() == first[48:64].tolist()
    assert batch.targets[1].tolist() == first[49:65].tolist()
    assert len(windows) == len(windows.sequences)


def test_masked_documents_begin_at_position_0_and_are_not_predicted_from_the_one_before(shards):
    folder = shards.path / "train"
    plain, masked = Windows(folder, 100), Windows(folder, 100, document_mask=True)
    starts = set(Documents(folder).starts.tolist())
    indices = np.arange(len(plain))[::-1]
    expected, found = plain.batch(indices), masked.batch(indices)
    assert np.array_equal(found.inputs, expected.inputs)
    begun = 0
    for row, at in enumerate(plain.sequences.positions(indices).tolist()):
        position = -1
        for place in range(100):
            position = 0 if at + place in starts else position + 1
            assert found.extras[POSITIONS][row, place] == position
            begins = at + place + 1 in starts
            target = IGNORED if begins else expected.targets[row, place]
            assert found.targets[row, place] == target
            begun += begins
    assert begun > 5
    assert found.num_tokens() == expected.num_tokens() == masked.num_tokens(indices)
    assert expected.extras == {}
