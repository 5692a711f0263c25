"""The ledger: the same for any number of processes, and no other history passes for it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.lib.examples.batches import IGNORED, Batch
from components.lib.group import Group
from components.lib.ledger.chain import LEDGER, Ledger, batch_hash, read, row_hashes

PAD = 1


def _batch(rows=6, width=9, seed=0) -> Batch:
    """Rows of different lengths, padded on the right."""
    rng = np.random.default_rng(seed)
    inputs, targets = rng.integers(0, 500, (2, rows, width))
    targets[:, 0] = IGNORED
    for row, length in enumerate(rng.integers(2, width + 1, rows)):
        inputs[row, length:], targets[row, length:] = PAD, IGNORED
    return Batch(inputs, targets, {"reward": rng.integers(0, 9, rows)})


def _padded(batch: Batch, columns: int) -> Batch:
    more = ((0, 0), (0, columns))
    inputs = np.pad(batch.inputs, more, constant_values=PAD)
    return Batch(inputs, np.pad(batch.targets, more, constant_values=IGNORED), batch.extras)


def _take(batch: Batch, rows: np.ndarray) -> Batch:
    extras = {name: values[rows] for name, values in batch.extras.items()}
    return Batch(batch.inputs[rows], batch.targets[rows], extras)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), ranks=st.integers(1, 5), width=st.integers(2, 30))
def test_the_hashes_of_any_split_add_up_to_that_of_the_batch(seed, ranks, width):
    batch = _batch(rows=10, width=width, seed=seed)
    order = np.random.default_rng(seed).permutation(10)
    parts = [_take(batch, order[rank::ranks]).trimmed() for rank in range(ranks)]
    hashes = torch.tensor([batch_hash(part) for part in parts])
    assert int(hashes.sum()) == batch_hash(batch), "an int64 that wraps around must agree"
    assert Group(0, 1).sum_integers([batch_hash(batch)], torch.device("cpu")) == [batch_hash(batch)]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), columns=st.integers(0, 9))
def test_a_row_has_the_same_hash_however_wide_the_batch_is(seed, columns):
    batch = _batch(seed=seed)
    assert row_hashes(_padded(batch, columns)) == row_hashes(batch)
    rows = [batch.rows(slice(n, n + 1)).trimmed() for n in range(len(batch))]
    assert [number for row in rows for number in row_hashes(row)] == row_hashes(batch)


def test_a_prompt_that_ends_the_row_or_looks_like_padding_is_no_matter():
    tail = Batch(np.array([[5, 6, 7]]), np.array([[6, 7, IGNORED]]))
    assert row_hashes(_padded(tail, 3)) == row_hashes(tail)
    like_padding = Batch(np.array([[5, PAD, PAD]]), np.array([[IGNORED, 9, 9]]))
    shorter = Batch(np.array([[5, PAD]]), np.array([[IGNORED, 9]]))
    assert row_hashes(like_padding) != row_hashes(shorter)


@pytest.mark.parametrize("part", ["inputs", "targets", "reward"])
def test_a_single_other_number_is_another_hash(part):
    before = row_hashes(_batch())
    changed = _batch()
    numbers = changed.extras[part] if part == "reward" else getattr(changed, part)
    numbers[(3,) if part == "reward" else (3, 1)] += 1
    after = row_hashes(changed)
    assert [a == b for a, b in zip(before, after, strict=True)] == [n != 3 for n in range(6)]


def test_inputs_and_targets_do_not_stand_for_each_other():
    ids, shifted = np.array([[3, 4, 5]]), np.array([[4, 5, 6]])
    assert row_hashes(Batch(ids, shifted)) != row_hashes(Batch(shifted, ids))
    with_extra = Batch(ids, shifted, {"a": np.array([1])})
    renamed = Batch(ids, shifted, {"b": np.array([1])})
    assert (
        len({*row_hashes(Batch(ids, shifted)), *row_hashes(with_extra), *row_hashes(renamed)}) == 3
    )


def test_the_hash_of_a_batch_is_the_one_it_was():
    """A golden value: another one and no old checkpoint resumes."""
    assert batch_hash(Batch(np.array([[1, 2], [3, 4]]), np.array([[2, 3], [4, 5]]))) == GOLDEN


GOLDEN = 7839273743295847299


def _written(out, steps=5) -> list[str]:
    """Write a ledger and return the chain after each step, from none."""
    ledger = Ledger(out)
    chains = [ledger.chain]
    for step in range(1, steps + 1):
        ledger.append(step, draw=step - 1, examples=8, batch_hash=(-1) ** step * 7919**step)
        chains.append(ledger.chain)
    return chains


def test_what_is_appended_is_read_again_as_lines_of_json(tmp_path):
    chains = _written(tmp_path, steps=2)
    lines = [json.loads(line) for line in (tmp_path / LEDGER).read_text().splitlines()]
    assert lines[1] == {
        "step": 2,
        "draw": 1,
        "examples": 8,
        "batch": f"{7919**2:016x}",
        "chain": chains[2],
    }
    assert lines[0]["batch"] == f"{2**64 - 7919:016x}", (
        "a negative hash is not its two's complement"
    )
    assert [entry._asdict() for entry in read(tmp_path)] == lines
    assert len(set(chains)) == 3


def test_the_chain_depends_on_every_step_and_on_nothing_else(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    assert _written(tmp_path / "a") == _written(tmp_path / "b")
    (tmp_path / "c").mkdir()
    ledger = Ledger(tmp_path / "c")
    ledger.append(1, draw=0, examples=8, batch_hash=-7919)
    ledger.append(2, draw=3, examples=8, batch_hash=7919**2)  # the same data, of a later draw
    assert ledger.chain != read(tmp_path / "a")[1].chain


def test_a_rewound_ledger_goes_on_as_if_nothing_had_happened(tmp_path):
    chains = _written(tmp_path)
    whole = (tmp_path / LEDGER).read_bytes()
    ledger = Ledger(tmp_path)
    ledger.rewind(3, chains[3])
    assert ledger.chain == chains[3]
    assert [entry.step for entry in read(tmp_path)] == [1, 2, 3]
    for step in (4, 5):
        ledger.append(step, draw=step - 1, examples=8, batch_hash=(-1) ** step * 7919**step)
    assert (tmp_path / LEDGER).read_bytes() == whole


@pytest.mark.parametrize("torn", [b'{"step": 6, "dr', b"\0\0\0\0", b'{"step": 6}\n', b"\xff\n"])
def test_what_a_crash_left_behind_the_checkpoint_is_dropped(tmp_path, torn):
    chains = _written(tmp_path)
    whole = (tmp_path / LEDGER).read_bytes()
    with (tmp_path / LEDGER).open("ab") as stream:
        stream.write(torn)
    if not torn.endswith(b"\n"):
        assert len(read(tmp_path)) == 5
    Ledger(tmp_path).rewind(5, chains[5])
    assert (tmp_path / LEDGER).read_bytes() == whole


def test_step_zero_starts_anew_and_so_does_a_ledger_that_was_not_rewound(tmp_path):
    chains = _written(tmp_path)
    ledger = Ledger(tmp_path)
    ledger.rewind(0, "")
    assert (ledger.chain, read(tmp_path)) == (chains[0], [])
    _written(tmp_path)
    assert _written(tmp_path, steps=2) == chains[:3]
    assert len(read(tmp_path)) == 2


def test_a_ledger_that_does_not_prove_the_checkpoint_is_an_error_with_the_remedy(tmp_path):
    chains = _written(tmp_path)
    with pytest.raises(ValueError, match=r"after step 3 its chain is .* the checkpoint's is 0000"):
        Ledger(tmp_path).rewind(3, chains[0])
    with pytest.raises(ValueError, match=r"step 6, but .* only 5 steps.*remove .*checkpoints"):
        Ledger(tmp_path).rewind(6, chains[5])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="only 0 steps"):
        Ledger(tmp_path / "empty").rewind(1, chains[1])
    assert len(read(tmp_path)) == 5, "an error lost what was written"


@pytest.mark.parametrize("field", ["step", "draw", "examples", "batch", "chain"])
def test_a_line_that_was_changed_breaks_the_chain(tmp_path, field):
    chains = _written(tmp_path)
    lines = (tmp_path / LEDGER).read_text().splitlines()
    entry = json.loads(lines[1])
    entry[field] = entry[field] + 1 if isinstance(entry[field], int) else "00" * 8
    lines[1] = json.dumps(entry)
    (tmp_path / LEDGER).write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match="line 2: breaks the chain"):
        read(tmp_path)
    with pytest.raises(ValueError, match=r"line 2.*remove .*checkpoints"):
        Ledger(tmp_path).rewind(4, chains[4])
    Ledger(tmp_path).rewind(1, chains[1])


def test_steps_left_out_and_draws_taken_again_are_refused(tmp_path):
    _written(tmp_path, steps=0)
    ledger = Ledger(tmp_path)
    ledger.append(1, draw=4, examples=8, batch_hash=1)
    with pytest.raises(AssertionError, match="step 3 after step 1"):
        ledger.append(3, draw=5, examples=8, batch_hash=1)
    with pytest.raises(AssertionError, match="data would repeat"):
        ledger.append(2, draw=4, examples=8, batch_hash=1)
    ledger.sync()


def test_the_ledger_is_read_without_torch():
    code = "import sys, components.lib.ledger.chain, components.lib.ledger.history;"
    code += "import components.lib.examples.windows;"
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
