"""Windows of token shards: every token but the first is a target once."""

import numpy as np

from components.lib.windows import Windows


def test_targets_are_the_inputs_one_token_on(shards):
    windows = Windows(shards.path / "train", 16)
    batch = windows.batch(np.array([0, 3]))
    assert np.array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    first = np.load(shards.path / "train" / "shard_00000.npy")
    assert batch.inputs[1].tolist() == first[48:64].tolist()
    assert batch.targets[1].tolist() == first[49:65].tolist()
    assert len(windows) == len(windows.sequences)
