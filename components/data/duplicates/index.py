"""What is kept of documents so that others can be compared with them: sketches, on disk.

A row is a distinct text, in the order of the documents. Every column is a file of its own, plain
little-endian numbers, read through memory maps; `parameters.json` says what the sketches are of.
"""

import json
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core.files import write_json
from components.data.duplicates.minhash import U32, U64, Matching, Sketches

_PARAMETERS = "parameters.json"
_WORDS = 2  # raised when text is cut into words, or n-grams are hashed, in another way


class DuplicateIndex:
    """The index in a folder: read as it is, or longer by what is added to it."""

    def __init__(self, folder: Path, matching: Matching) -> None:
        """Open the index in `folder`; there is none yet if the folder does not exist."""
        self.folder, self._matching = folder, matching
        if not folder.exists():
            folder.mkdir(parents=True)
            write_json(folder / _PARAMETERS, _parameters(matching))

    def add(self, sketches: Sketches, ids: list[str]) -> None:
        """Append rows."""
        self._append("digests", sketches.digests)
        self._append("num_bytes", sketches.num_bytes)
        self._append("num_words", sketches.num_words)
        self._append("signatures", sketches.signatures)
        self._append_ragged("sample", sketches.samples, sketches.num_samples)
        names = [name.encode() for name in ids]
        lengths = np.array([len(name) for name in names], np.uint64)
        self._append_ragged("id", np.frombuffer(b"".join(names), np.uint8), lengths)

    def close(self, kept_as: NDArray[np.int64]) -> None:
        """Say for each row which one stands for it: itself if its document was kept."""
        (self.folder / "kept_as.bin").write_bytes(kept_as.astype("<i8").tobytes())

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._column("num_words", "<u8"))

    def num_bytes_on_disk(self) -> int:
        """Return the size of all columns."""
        return sum(file.stat().st_size for file in self.folder.glob("*.bin"))

    @cached_property
    def digests(self) -> U64:
        """Half a sha256 of each normalised text, shape (rows, 2)."""
        return self._column("digests", "<u8").reshape(-1, 2)

    @cached_property
    def num_bytes(self) -> U64:
        """UTF-8 bytes of each text, shape (rows,)."""
        return self._column("num_bytes", "<u8")

    @cached_property
    def num_words(self) -> U64:
        """Words of each text, shape (rows,)."""
        return self._column("num_words", "<u8")

    @property
    def signatures(self) -> U32:
        """MinHash signatures, shape (rows, permutations): not kept, they are most of the index."""
        return self._column("signatures", "<u4").reshape(-1, self._matching.num_permutations)

    @cached_property
    def samples(self) -> U32:
        """Sampled n-grams of all rows, ascending in each."""
        return self._column("samples", "<u4")

    @cached_property
    def sample_ends(self) -> U64:
        """Where those of each row end, shape (rows,)."""
        return self._column("sample_ends", "<u8")

    @cached_property
    def kept_as(self) -> NDArray[np.int64]:
        """The row that stands for each row, shape (rows,)."""
        return np.array(self._column("kept_as", "<i8"))

    def samples_of(self, row: int) -> U32:
        """Return the sampled n-grams of a row."""
        return self._ragged(self.samples, self.sample_ends, row)

    def id_of(self, row: int) -> str:
        """Return the id of the document that a row is of."""
        return self._ragged(self._ids, self._id_ends, row).tobytes().decode()

    @cached_property
    def _ids(self) -> NDArray[np.uint8]:
        return self._column("ids", "u1")

    @cached_property
    def _id_ends(self) -> U64:
        return self._column("id_ends", "<u8")

    def _column(self, name: str, kind: str) -> NDArray[Any]:
        file = self.folder / f"{name}.bin"
        if not file.exists() or not file.stat().st_size:
            return np.empty(0, kind)
        return np.memmap(file, kind, "r")

    def _append(self, name: str, values: NDArray[Any]) -> None:
        with (self.folder / f"{name}.bin").open("ab") as stream:
            stream.write(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())

    def _append_ragged(self, name: str, values: NDArray[Any], lengths: U64) -> None:
        file = self.folder / f"{name}s.bin"
        start = file.stat().st_size // values.itemsize if file.exists() else 0
        self._append(f"{name}s", values)
        self._append(f"{name}_ends", np.cumsum(lengths, dtype=np.uint64) + np.uint64(start))

    @staticmethod
    def _ragged(values: NDArray[Any], ends: U64, row: int) -> NDArray[Any]:
        return values[int(ends[row - 1]) if row else 0 : int(ends[row])]


def copy_index(known: Path, folder: Path, matching: Matching) -> None:
    """Copy the index in `known`, so that rows can be added to it.

    Raises ValueError if there is none, or one whose sketches or decisions were made otherwise.
    """
    if not (known / _PARAMETERS).exists():
        raise ValueError(
            f"{known} is no index of known documents: give `known` what Deduplicate made, or "
            "leave it out."
        )
    theirs = json.loads((known / _PARAMETERS).read_text("utf-8"))
    ours = _parameters(matching)
    if different := [name for name in ours if theirs.get(name) != ours[name]]:
        said = ", ".join(f"{name} {theirs.get(name)!r}, not {ours[name]!r}" for name in different)
        raise ValueError(
            f"The known documents were indexed with {said}: deduplicate with the same, or leave "
            "`known` out and give all documents at once."
        )
    shutil.copytree(known, folder)


def _parameters(matching: Matching) -> dict[str, Any]:
    from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue] # compiled

    fields = {name: getattr(matching, name) for name in Matching.model_fields}
    return {**fields, "minhash_algorithm": RMinHash.ALGORITHM_VERSION, "words": _WORDS}
