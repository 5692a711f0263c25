"""The ledger of a training: what each step saw, as a chain of hashes.

`<out>/ledger.jsonl` has a line a step. The hash of a batch is a sum over its rows, so that any
number of processes adds up to the same one; the chain runs over all steps, so that the last link
proves the whole history. A checkpoint holds its link: a resumed run goes on from the very data
that the interrupted one saw, or not at all.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from components.lib.examples.batches import Batch

LEDGER = "ledger.jsonl"
_GENESIS = "0" * 16
_WORDS = 1 << 64


class Entry(NamedTuple):
    """What one step saw."""

    step: int
    """Steps that are done with it: the first has 1."""
    draw: int
    """Which draw from the order of the data it was, from 0; a rollback may skip some."""
    examples: int
    """Examples of the batch, over all processes."""
    batch: str
    """Hash of the batch, 16 hex digits."""
    chain: str
    """Hash of the chain of all steps up to this one, 16 hex digits."""


def row_hashes(batch: "Batch") -> list[int]:
    """Return the 64-bit BLAKE2b of each example: what its loss is computed from, and its extras.

    Those are the inputs and targets without the padding after them, so that it does not matter
    how wide the batch is padded.
    """
    extras = sorted(batch.extras.items())
    return [
        _row_hash(
            [batch.inputs[row, :width], batch.targets[row, :width]],
            [(name, values[row]) for name, values in extras],
        )
        for row, width in enumerate(batch.widths().tolist())
    ]


def _row_hash(
    sides: list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]],
    extras: list[tuple[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]],
) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for name, values in [*zip(("inputs", "targets"), sides, strict=True), *extras]:
        digest.update(f"{name}\0{values.shape}\0".encode())  # no two rows read alike
        digest.update(values.astype("<i8").tobytes())
    return int.from_bytes(digest.digest(), "little")


def batch_hash(batch: "Batch") -> int:
    """Return the sum of the rows' hashes modulo 2^64, as a signed 64-bit integer.

    The hashes of the parts of a batch add up to that of the whole, in an int64 that wraps around.
    """
    total = sum(row_hashes(batch)) % _WORDS
    return total - _WORDS if total >= _WORDS // 2 else total


class Ledger:
    """The ledger that one process of a training, rank 0, writes in `out`.

    It starts again, over what is there, unless `rewind` has it go on after a step.
    """

    def __init__(self, out: Path) -> None:
        """Write in the folder `out`."""
        self._file = out / LEDGER
        self._last: Entry | None = None

    @property
    def chain(self) -> str:
        """The hash of all that was seen so far, 16 hex digits."""
        return self._last.chain if self._last else _GENESIS

    def append(self, step: int, draw: int, examples: int, batch_hash: int) -> None:
        """Add what step `step` (from 1) saw: `examples` of draw `draw`, hashed over all ranks."""
        last_step, last_draw = (self._last.step, self._last.draw) if self._last else (0, -1)
        assert step == last_step + 1, f"step {step} after step {last_step}"
        assert draw > last_draw, f"draw {draw} after draw {last_draw}: data would repeat"
        batch = f"{batch_hash % _WORDS:016x}"
        chain = _link(self.chain, step, draw, examples, batch)
        self._last = Entry(step, draw, examples, batch, chain)
        with self._file.open("a" if last_step else "w", encoding="utf-8") as stream:
            stream.write(json.dumps(self._last._asdict()) + "\n")

    def sync(self) -> None:
        """Force the lines to the disk: before the checkpoint that relies on them."""
        with self._file.open("rb+") as stream:
            os.fsync(stream.fileno())

    def rewind(self, step: int, chain: str) -> None:
        """Go back to the end of step `step`, whose checkpoint names `chain`; 0 is the beginning.

        Raises:
            ValueError: the ledger is not the one that led to this checkpoint.
        """
        if step == 0:
            self._file.unlink(missing_ok=True)
            self._last = None
            return
        try:
            lines = list(islice(_lines(self._file), step))
        except ValueError as error:
            raise ValueError(f"{error} {self._remedy()}") from error
        if len(lines) < step:
            raise ValueError(
                f"The checkpoint was taken after step {step}, but {self._file} proves only "
                f"{len(lines)} steps. {self._remedy()}"
            )
        entry, end = lines[-1]
        if entry.chain != chain:
            raise ValueError(
                f"{self._file} is not the history of this checkpoint: after step {step} its chain "
                f"is {entry.chain}, the checkpoint's is {chain}. {self._remedy()}"
            )
        os.truncate(self._file, end)
        self._last = entry

    def _remedy(self) -> str:
        checkpoints = self._file.parent / "checkpoints"
        return f"What it saw is unproved: remove {checkpoints} to train from the beginning."


def read(out: Path) -> list[Entry]:
    """Return the steps of the ledger in `out`, none if there is no ledger.

    A last line without its end, left by a crash, does not count.

    Raises:
        ValueError: a line does not follow from those before it.
    """
    return [entry for entry, _ in _lines(out / LEDGER)]


def _lines(file: Path) -> Iterator[tuple[Entry, int]]:
    """Yield every entry that the chain proves, with the offset after its line."""
    if not file.exists():
        return
    chain, end = _GENESIS, 0
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                entry = Entry(**json.loads(line))
                follows = entry.chain == _link(chain, *entry[:4]) and entry.step == number
            except (ValueError, TypeError) as error:
                raise ValueError(f"{file}, line {number}: not an entry: {error}.") from error
            if not follows:
                raise ValueError(f"{file}, line {number}: breaks the chain, it was changed.")
            chain, end = entry.chain, end + len(line)
            yield entry, end


def _link(chain: str, step: int, draw: int, examples: int, batch: str) -> str:
    """Return the next link of the chain."""
    words = np.array([step, draw, examples], "<i8").tobytes()
    text = bytes.fromhex(chain) + words + bytes.fromhex(batch)
    return hashlib.blake2b(text, digest_size=8).hexdigest()
