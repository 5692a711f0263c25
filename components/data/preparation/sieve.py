"""Which rows of some sets stay, and why the others do not: each is counted and written down."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic

from components.data.document import Document, write_documents, write_lines
from components.data.duplicates.find import find_duplicates
from components.data.duplicates.minhash import Matching
from components.data.overlap.index import Overlap
from components.data.overlap.passages import search
from components.data.pieces import cut
from components.data.preparation.texts import R, normalised, said_in

TOO_LONG = "longer than the context"
_DUPLICATE = "duplicate"
_OF = "of "


class RowSieve(Generic[R]):
    """The rows that are left; each method leaves some out."""

    def __init__(self, rows: Iterable[R]) -> None:
        """Begin with all rows."""
        self.rows = list(rows)
        self.dropped: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """Rows that were left out, by set and reason."""
        self.read = Counter[str](row.id.partition("/")[0] for row in self.rows)
        """Rows that there were, by set."""
        self._rejects: list[dict[str, object]] = []

    def total(self) -> dict[str, int]:
        """Return the rows that were left out, by reason."""
        return dict(sorted(sum(self.dropped.values(), Counter[str]()).items()))

    def write_rejects(self, file: Path) -> None:
        """Write what was left out, with the reason."""
        write_lines(file, self._rejects)

    def duplicates(self) -> dict[str, tuple[str, str]]:
        """Return, by id, why each duplicate was left out, and the id of what stands for it."""
        found = ((row["id"], row["reason"], row["detail"]) for row in self._rejects)
        return {
            str(name): (str(why), str(detail).removeprefix(_OF))
            for name, why, detail in found
            if str(detail).startswith(_OF)
        }

    def drop_repeated_ids(self) -> None:
        """Leave out what has the id of an earlier row: sets that were added hold none."""
        known = set[str]()

        def repeated(row: R) -> tuple[str, str] | None:
            if row.id not in known:
                return known.add(row.id)
            return "repeated id", "an earlier row has it: add the set again, to tell them apart"

        self._sift((row, repeated(row)) for row in self.rows)

    def drop_exact_duplicates(self) -> None:
        """Leave out what says the same as an earlier row, but for space and capitals."""
        first = dict[str, str]()

        def earlier(row: R) -> tuple[str, str] | None:
            found = first.setdefault(normalised(row), row.id)
            return None if found == row.id else (_DUPLICATE, f"{_OF}{found}")

        self._sift((row, earlier(row)) for row in self.rows)

    def drop_near_duplicates(self, matching: Matching, scratch: Path) -> None:
        """Leave out what nearly says what another row does, or is said within it.

        What differs in a number, a name or its content is not, whatever template both are of.
        """
        texts = (Document(id=row.id, text=said_in(row)) for row in self.rows)
        write_documents(scratch / "said.jsonl", texts)
        pieces = cut([scratch / "said.jsonl"])
        found = find_duplicates(matching, pieces, scratch / "index", scratch / "work", None)
        verdicts = found.verdicts(0, len(self.rows))
        shutil.rmtree(scratch)
        reasons = {place: (why, f"{_OF}{other}") for place, (why, other) in verdicts.items()}
        self._sift((row, reasons.get(place)) for place, row in enumerate(self.rows))

    def drop_overlaps(self, index: Overlap) -> None:
        """Leave out what shares words with an item that models are tested on."""
        if len(index):
            found = search(index, ((row, said_in(row)) for row in self.rows))
            self._sift(
                (row, shared and (f"overlaps {shared.sets[0]}", f"{shared.items}: {shared.words}"))
                for row, shared in found
            )

    def drop_if(self, judge: Callable[[R], tuple[str, str] | None]) -> None:
        """Leave out each row of which `judge` gives a reason and a detail."""
        self._sift((row, judge(row)) for row in self.rows)

    def _sift(self, judged: Iterable[tuple[R, tuple[str, str] | None]]) -> None:
        self.rows = [row for row, why in judged if not self._is_dropped(row, why)]

    def _is_dropped(self, row: R, why: tuple[str, str] | None) -> bool:
        if why is None:
            return False
        self.dropped[row.id.partition("/")[0]][why[0]] += 1
        said = row.model_dump(mode="json", exclude_defaults=True)
        self._rejects.append({"id": row.id, "reason": why[0], "detail": why[1], "row": said})
        return True
