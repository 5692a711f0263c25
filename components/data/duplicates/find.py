"""Which of many documents are left out, and which earlier or longer one stands for each.

In order, a document is left out if one that was kept before has its text, nearly has it, or holds
it, and says nothing else, as `judge` compares them; otherwise it is kept, and those kept before
that it holds are left out in its place. So each one left out was verified against one that was kept
then, and documents that come later never change what earlier ones did to each other: adding to an
index decides as if all had come at once.
"""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from itertools import compress, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.data.duplicates.index import DuplicateIndex, copy_index
from components.data.duplicates.judge import Judge
from components.data.duplicates.minhash import Matching, Sketches, sketch
from components.data.duplicates.pairs import (
    Rows,
    contained_pairs,
    near_pairs,
    similarity,
    told_apart,
)
from components.data.duplicates.templates import Template, frequent_templates
from components.data.duplicates.texts import RowTexts
from components.data.pieces import Piece, work_through

logger = logging.getLogger(__name__)

DUPLICATE, NEAR, CONTAINED = "duplicate", "near duplicate", "contained"
_LATER_NEAR, _LATER_INSIDE, _EARLIER_INSIDE = range(3)

LeftOut = tuple[str, str]
"""Why a document is left out, and the id of the one that stands for it."""


class Duplicates(NamedTuple):
    """What was decided of documents."""

    sketches: DuplicateIndex
    """Of those that were known and the new ones."""
    first_new: int
    """Rows before this one were known."""
    row_of: Rows
    """The row of each new document's text."""
    is_first: NDArray[np.bool_]
    """Whether a new document is the first with its text."""
    reasons: dict[int, str]
    """Why a row that was kept before, or is new, is left out."""
    piece_sizes: list[int]
    """Documents of each piece."""
    templates: tuple[Template, ...]
    """The most frequent ones among new documents that were kept, and what they resemble."""
    num_of_templates: int
    """Documents that were found to be of any template."""

    @property
    def known(self) -> Rows:
        """The rows that were kept before, in order."""
        rows = np.flatnonzero(self.sketches.kept_as == np.arange(len(self.sketches)))
        late = [row for row in self.reasons if row < self.first_new]
        return np.union1d(rows[rows < self.first_new], np.array(late, np.int64))

    def verdicts(self, start: int, count: int) -> dict[int, LeftOut]:
        """Return what is left out of `count` new documents from `start`, by place among them."""
        found: dict[int, LeftOut] = {}
        rows = self.row_of[start : start + count].tolist()
        firsts = self.is_first[start : start + count].tolist()
        for place, (row, first) in enumerate(zip(rows, firsts, strict=True)):
            if not first:
                found[place] = DUPLICATE, self._stands_for(row)
            elif row in self.reasons:
                found[place] = self.reasons[row], self._stands_for(row)
        return found

    def verdicts_on_known(self, rows: Rows) -> dict[int, LeftOut]:
        """Return which of `rows`, kept before, are left out now, by place among them."""
        return {
            place: (self.reasons[row], self._stands_for(row))
            for place, row in enumerate(rows.tolist())
            if row in self.reasons
        }

    def _stands_for(self, row: int) -> str:
        return self.sketches.id_of(int(self.sketches.kept_as[row]))


def find_duplicates(
    matching: Matching,
    pieces: Sequence[Piece],
    folder: Path,
    scratch: Path,
    known: Path | None,
    known_files: Sequence[Path] = (),
) -> Duplicates:
    """Write the index of the known and the documents of `pieces` to `folder`; decide on all.

    `known_files` hold the documents that were kept of the known ones, in order; `scratch` takes
    what is needed meanwhile.
    """
    if known is not None:
        copy_index(known, folder, matching)
    index = DuplicateIndex(folder, matching)
    first_new, before = len(index), index.kept_as
    texts = RowTexts(known_files, before)
    logger.info("sketching %d pieces, %d texts are known", len(pieces), first_new)
    scratch.mkdir(parents=True, exist_ok=True)
    answers = work_through(
        f"{__name__}:sketch_piece", pieces, scratch, matching.model_dump(mode="json")
    )
    row_of, is_first = _add_distinct(index, matching, pieces, scratch)
    index = DuplicateIndex(folder, matching)
    logger.info("comparing %d distinct texts", len(index))
    near = near_pairs(index, first_new, matching, scratch)
    contained = contained_pairs(index, first_new, matching)
    near, contained = told_apart(index, near, contained, matching)
    sizes = [answer["documents"] for answer in answers]
    texts.add(pieces, sizes, is_first)
    judge = Judge(texts)
    likeness = similarity(index, near)
    kept_as, reasons = decide(near, contained, before, len(index), judge, likeness)
    index.close(kept_as)
    shutil.rmtree(scratch)
    index = DuplicateIndex(folder, matching)
    templates = frequent_templates(judge.told_apart, texts, index.id_of)
    return Duplicates(index, first_new, row_of, is_first, reasons, sizes, *templates)


def sketch_piece(piece: Piece, out: Path, payload: dict[str, Any]) -> dict[str, Any]:
    """Write the sketches of the documents of a piece, and their ids."""
    ids: list[str] = []

    def texts() -> Iterator[str]:
        for document in piece.documents():
            ids.append(document.id)
            yield document.text

    sketches = sketch(texts(), Matching.model_validate(payload))
    names = np.frombuffer(json.dumps(ids).encode(), np.uint8)
    np.savez(out / f"{piece.number:05d}.npz", ids=names, **sketches._asdict())
    return {"documents": len(ids)}


def decide(
    near: Rows,
    contained: Rows,
    before: Rows,
    num_rows: int,
    judge: Judge,
    likeness: NDArray[np.float64],
) -> tuple[Rows, dict[int, str]]:
    """Return the row that stands for each row, and why those left out now are.

    Args:
        near: pairs (earlier, later) that are near duplicates by their words.
        contained: pairs (contained, longer) by their words.
        before: the rows that stand for the known ones, the first of all.
        num_rows: all rows.
        judge: compares the texts of those that were kept.
        likeness: of the pairs that are near, shape (n,).
    """
    kept_as = np.concatenate([before, np.arange(len(before), num_rows)])
    reasons: dict[int, str] = {}
    for later, group in groupby(_in_order(near, contained, likeness), key=itemgetter(0)):
        kinds = {earlier: kind for _, earlier, kind in group if kept_as[earlier] == earlier}
        holding = [row for row, kind in kinds.items() if kind != _EARLIER_INSIDE]
        if (found := judge.first_alike(later, holding)) is not None:
            kept_as[later] = found
            reasons[later] = NEAR if kinds[found] == _LATER_NEAR else CONTAINED
            continue
        for held, kind in kinds.items():
            if kind == _EARLIER_INSIDE and judge.is_alike(later, held):
                kept_as[held] = later
                reasons[held] = CONTAINED
    return _roots(kept_as), reasons


def firsts_of(digests: NDArray[np.uint64]) -> Rows:
    """Return, for each row of `digests`, the first row that is equal. Shape (rows, n)."""
    order = np.lexsort(digests.T)
    same = (digests[order[1:]] == digests[order[:-1]]).all(1)
    starts = np.arange(len(order))
    starts[1:][same] = 0
    firsts = np.empty_like(order)
    firsts[order] = order[np.maximum.accumulate(starts)]
    return firsts


def _in_order(
    near: Rows, contained: Rows, likeness: NDArray[np.float64]
) -> list[tuple[int, int, int]]:
    """Return (later, earlier, kind), by later; what leaves it out before what it leaves out.

    Those that leave it out are in the order of their likeness.
    """
    inside = contained[:, 0] > contained[:, 1]
    parts = (
        (near[:, 1], near[:, 0], _LATER_NEAR),
        (contained[inside, 0], contained[inside, 1], _LATER_INSIDE),
        (contained[~inside, 1], contained[~inside, 0], _EARLIER_INSIDE),
    )
    rows = [np.stack([later, early, np.full_like(early, kind)], 1) for later, early, kind in parts]
    pairs = np.concatenate(rows)
    alike = np.concatenate([likeness, np.ones(len(contained))])
    order = np.lexsort(
        (pairs[:, 2], pairs[:, 1], -alike, pairs[:, 2] == _EARLIER_INSIDE, pairs[:, 0])
    )
    return [tuple(row) for row in pairs[order].tolist()]


def _roots(kept_as: Rows) -> Rows:
    while not np.array_equal(further := kept_as[kept_as], kept_as):
        kept_as = further
    return kept_as


def _add_distinct(
    index: DuplicateIndex, matching: Matching, pieces: Sequence[Piece], scratch: Path
) -> tuple[Rows, NDArray[np.bool_]]:
    """Add the texts that are new; return the row of each document and whether it is the first."""
    num_known = len(index)
    files = [scratch / f"{piece.number:05d}.npz" for piece in pieces]
    digests = [index.digests, *(np.load(file)["digests"] for file in files)]
    firsts = firsts_of(np.concatenate(digests))
    is_first = firsts == np.arange(len(firsts))
    rows = np.cumsum(is_first) - 1
    row_of, is_first = rows[firsts][num_known:], is_first[num_known:]
    start = 0
    for file in files:
        with np.load(file) as arrays:
            sketches = Sketches(**{name: arrays[name] for name in Sketches._fields})
            ids: list[str] = json.loads(arrays["ids"].tobytes())
        new = is_first[start : start + len(ids)]
        index.add(sketches.only(new), list(compress(ids, new.tolist())))
        start += len(ids)
        file.unlink()
    return row_of, is_first
