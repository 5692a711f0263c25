"""What is lost with a file that ends early: so many bytes, and about so many records.

A reject counts what it consumed, so that `max_bad` sees it. Of a file that breaks off, the bytes
that were not read are known, and the records before them say how large one is. What a truncated
file had after its end nobody knows: its reject says so and counts nothing for it.
"""

from dataclasses import dataclass, replace

from components.data.sources.compression import MAGIC, BrokenOff, Tail
from components.data.sources.documents import reject
from components.data.sources.source import Blob, Budget, Reading, Reject
from components.data.sources.streams import head

PADDING = "padding"
_MANY = (b"PAR1", b"PK\x03\x04", *(magic for magics in MAGIC.values() for magic in magics))


@dataclass
class Progress:
    """How much of a blob was read."""

    blob: Blob
    """What is read."""
    num_read: int
    """Bytes of the outermost file that were read before it."""
    num_expanded: int
    """Bytes that had come out of compressed streams before it."""
    num_records: int = 0
    """Records of it so far, good and bad."""


def begun(blob: Blob) -> Progress:
    """Return the progress of a blob that is about to be read."""
    return Progress(blob, blob.budget.num_read, blob.budget.num_expanded)


def with_rest(progress: Progress, found: Reject, error: Exception) -> Reject:
    """Return the reject that ended a blob by `error`, with what of it was not read."""
    blob, budget = progress.blob, progress.blob.budget
    taken = budget.num_read - progress.num_read
    size = budget.size
    if blob.depth:
        taken = max(taken, budget.num_expanded - progress.num_expanded)
        size = blob.size
    if isinstance(error, BrokenOff):
        taken = error.num_read  # more was held than could be decoded
    lost = max(0, size - taken) if size else 0
    if not progress.num_records:
        lost = (size or taken) if _is_its_kind(blob) else 0
    return _counted(found, lost, taken, progress.num_records, _as_it_lies(blob, lost))


def _is_its_kind(blob: Blob) -> bool:
    """Whether a file of which nothing was read began well: else it is one bad file, whatever it is.

    A member of an archive cannot be looked at twice.
    """
    if blob.depth:
        return False
    with blob.open() as stream:
        start = head(stream)
    return start.startswith(_MANY) or start[257:262] == b"ustar"


def of_whole(blob: Blob, found: Reject) -> Reject:
    """Return the reject of a file that may have had many records, with its size."""
    size = blob.size if blob.depth else blob.budget.size
    return replace(found, lost_bytes=_as_it_lies(blob, size or 0))


def of_size(blob: Blob, found: Reject, num_bytes: int) -> Reject:
    """Return the reject of so many bytes of a blob."""
    return replace(found, lost_bytes=_as_it_lies(blob, num_bytes))


def of_tail(reading: Reading, blob: Blob, tail: Tail, num_records: int) -> Reject:
    """Return the reject of what stands after a compressed stream."""
    if tail.is_padding:
        detail = f"{tail.num_zeros} zeros after the compressed stream, to the end of a block"
        return reject(reading, blob, PADDING, detail)
    if not tail.num_other:
        detail = f"{tail.num_zeros} zeros beside the compressed streams, as a crash leaves them"
        return reject(reading, blob, "trailing bytes", detail)
    lost = tail.num_other
    detail = f"{lost} bytes after the compressed stream that are none: what they were is lost"
    found = reject(reading, blob, "trailing bytes", detail)
    return _counted(found, lost, tail.num_members, num_records, _as_it_lies(blob, lost))


def of_nuls(reading: Reading, blob: Blob, num_nuls: int, num_records: int) -> Reject:
    """Return the reject of the NULs at the end of a text."""
    detail = f"its last {num_nuls} bytes are NULs, as a crash or a full disk leaves them"
    found = reject(reading, blob, "NULs at the end", detail)
    size = blob.size if blob.depth else blob.budget.size
    taken = (size or blob.budget.num_expanded) - num_nuls
    return _counted(found, num_nuls, taken, num_records, _as_it_lies(blob, num_nuls))


def _counted(found: Reject, lost: int, taken: int, num_records: int, lies: int) -> Reject:
    count = round(num_records * lost / taken) if taken > 0 else 0
    return replace(found, count=max(found.count, count), lost_bytes=lies)


def _as_it_lies(blob: Blob, num_bytes: int) -> int:
    """Return about how many bytes of the outermost file so many bytes of a blob are."""
    budget: Budget = blob.budget
    if not (blob.depth and budget.num_expanded):
        return num_bytes
    return round(num_bytes * min(1.0, budget.num_read / budget.num_expanded))
