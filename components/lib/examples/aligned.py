"""Text as two tokenizers read it: where both cut, and what each has between two such places.

Everything is measured in bytes of the text, where the end of a document counts as one.
"""

# B = sequences, T = tokens of a student's sequence, M = tokens of a teacher's, C = chunks

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from components.lib.examples.batches import IGNORED, Batch, Examples
from components.lib.text.token_bytes import TokenBytes

INPUTS = "teacher_inputs"  # (B, M): the same text as the teacher's tokens
TARGETS = "teacher_targets"  # (B, M): what each must predict, IGNORED where nothing
TEACHER_CHUNKS = "teacher_chunks"  # (B, M): the chunk that each target is of, -1 for none
STUDENT_CHUNKS = "student_chunks"  # (B, T): the same of the student's targets
ALIGNED = "aligned"  # (B, T): the teacher's position that stands where the student's does, or -1

Ids = NDArray[np.int64]


class Reading(NamedTuple):
    """A text as the teacher reads it."""

    ids: list[int]
    """Its tokens."""
    ends: list[int]
    """The place after each of them."""
    shifted: set[int]
    """Places before which its tokenizer sets a space that the text does not have."""


class Row(NamedTuple):
    """A sequence of a batch."""

    teacher: Ids
    """The teacher's tokens, (M,)."""
    targets: Ids
    """What each must predict, (M,)."""
    teacher_chunks: Ids
    """(M,)."""
    student_chunks: Ids
    """(T,)."""
    aligned: Ids
    """(T,)."""


class AlignedText:
    """Windows of text with what a teacher of another vocabulary reads in them.

    Places where both tokenizers cut are found by counting bytes. A chunk is what stands between two
    of them that follow each other: the shortest stretches that both read as whole tokens.
    """

    def __init__(self, examples: Examples, student: Path, teacher: Path, longest: int) -> None:
        """Read `examples`, of the tokenizer in `student`, by the one in `teacher` too.

        The teacher reads at most `longest` tokens of a window: its context.
        """
        self._examples, self._longest = examples, longest
        self._student, self._teacher = TokenBytes.of(student), TokenBytes.of(teacher)
        self._tokenizer = Tokenizer.from_file(str(teacher / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._examples)

    def batch(self, indices: Ids) -> Batch:
        """Return the chosen windows, with the teacher's tokens and what both have in common."""
        plain = self._examples.batch(indices)
        rows = [
            self.row(np.append(inputs, targets[-1]))
            for inputs, targets in zip(plain.inputs, plain.targets, strict=True)
        ]
        width = max(len(row.teacher) for row in rows)
        extras = {
            INPUTS: _padded([row.teacher for row in rows], width, 0),
            TARGETS: _padded([row.targets for row in rows], width, IGNORED),
            TEACHER_CHUNKS: _padded([row.teacher_chunks for row in rows], width, -1),
            STUDENT_CHUNKS: np.stack([row.student_chunks for row in rows]),
            ALIGNED: np.stack([row.aligned for row in rows]),
        }
        return Batch(plain.inputs, plain.targets, {**plain.extras, **extras}, plain.lengths)

    def row(self, window: Ids) -> Row:
        """Return what both read in a window of T + 1 of the student's tokens."""
        length, ids = len(window) - 1, window.tolist()
        ends = np.cumsum([self._size(token) for token in ids])  # the place after each token
        reading = self._read(ids)
        theirs = np.array(reading.ends[: self._longest], np.int64)
        last_of_ours, last_of_theirs = _last(ends), _last(theirs)
        shared = sorted(last_of_ours.keys() & last_of_theirs.keys())
        aligned = np.full(length, -1)
        student, teacher = np.full(length, -1), np.full(len(theirs), -1)
        for place in shared:
            if (ours := last_of_ours[place]) < length and place not in reading.shifted:
                aligned[ours] = last_of_theirs[place]
        for chunk, (start, end) in enumerate(pairwise(shared)):
            student[last_of_ours[start] : last_of_ours[end]] = chunk
            teacher[last_of_theirs[start] : last_of_theirs[end]] = chunk
        tokens = np.array(reading.ids[: self._longest], np.int64)
        targets = np.append(tokens[1:], IGNORED)
        student[window[1:] == self._student.begin] = -1  # nobody is asked to guess it
        teacher[(targets == IGNORED) | (targets == self._teacher.begin)] = -1
        return Row(tokens, targets, teacher, student, aligned)

    def _size(self, token: int) -> int:
        return 1 if token == self._student.end else len(self._student.tokens[token])

    def _read(self, ids: list[int]) -> Reading:
        """Return a window as the teacher's tokens; nothing, if it cannot give its text back."""
        tokens: list[int] = []
        ends: list[int] = []
        shifted: set[int] = set()
        begin, at = self._teacher.begin, 0
        for content, is_ended in self._texts(ids):
            text, lead = _letters_of(content)
            own = self._tokenizer.encode(text, add_special_tokens=False).ids
            sizes = self._sizes(own, text)
            if sizes is None:
                return Reading([self._teacher.end], [-1], set())
            if begin is not None:
                tokens.append(begin)
                ends.append(at)
            tokens += own
            ends += (at + lead + np.cumsum(sizes)).tolist()
            if own and sizes[0] < len(self._teacher.tokens[own[0]]):
                shifted.add(at + lead)
            at += len(content)
            if is_ended:
                at += 1
                tokens.append(self._teacher.end)
                ends.append(at)
        return Reading(tokens, ends, shifted)

    def _texts(self, ids: list[int]) -> Iterator[tuple[bytes, bool]]:
        """Yield the bytes of each document that a window has a part of, and whether it ends."""
        start, end = 0, self._student.end
        while end in ids[start:]:
            after = ids.index(end, start)
            yield self._bytes(ids[start:after]), True
            start = after + 1
        yield self._bytes(ids[start:]), False

    def _bytes(self, ids: list[int]) -> bytes:
        return b"".join(self._student.tokens[token] for token in ids)

    def _sizes(self, ids: list[int], text: str) -> list[int] | None:
        """Return the bytes of the text that each token has, None if they are not its bytes.

        A space that the tokenizer set before the text is no part of it.
        """
        parts, wanted = [self._teacher.tokens[token] for token in ids], text.encode()
        found = b"".join(parts)
        sizes = [len(part) for part in parts]
        if found == wanted:
            return sizes
        return [sizes[0] - 1, *sizes[1:]] if found == b" " + wanted else None


def _letters_of(content: bytes) -> tuple[str, int]:
    """Return the whole letters among some bytes, and how many bytes stand before them.

    A window may begin or end within a letter.
    """
    lead = 0
    while lead < min(3, len(content)) and 0x80 <= content[lead] < 0xC0:
        lead += 1
    rest = content[lead:]
    for cut in range(4):
        try:
            return rest[: len(rest) - cut].decode(), lead
        except UnicodeDecodeError:
            continue
    return "", len(content)  # no text: the bytes are read as nothing


def _last(ends: Ids) -> dict[int, int]:
    """Return, for each place where tokens end, the last of them: others are empty before it."""
    return {place: index for index, place in enumerate(ends.tolist())}


def _padded(rows: list[Ids], width: int, value: int) -> Ids:
    made = np.full((len(rows), width), value, np.int64)
    for row, values in zip(made, rows, strict=True):
        row[: len(values)] = values
    return made
