"""What an ingest lets in: good documents pass, the others are counted, written down, and judged."""

import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.data.dialogues.rows import LEFT_OUT
from components.data.document import Document
from components.data.seen import REPEATED, Seen, is_renamed
from components.data.sources.documents import FORMAT
from components.data.sources.reading import ALREADY_THERE, HARMLESS, read
from components.data.sources.source import SAMPLE_CHARACTERS, Reading, Reject, Source

_SECONDS = 5.0  # between two lines of progress
_KINDS = 3  # of harmless records that an error shows
_PATIENCE = 1000  # bad records, and not one good, before the source is given up

log = logging.getLogger(__name__)


class Intake:
    """One reading of a source, with its counts; the rejects go to a file of JSON lines."""

    def __init__(self, reading: Reading, rejects: Path) -> None:
        """Read nothing yet."""
        self._reading, self.rejects = reading, rejects
        self.num_documents = 0
        self.num_text_bytes = 0
        self.rejected = Counter[str]()
        self.lost_bytes = 0
        self.formats = Counter[str]()
        self.licenses = Counter[str]()
        self.left_out = Counter[str]()
        self.num_renamed = 0
        self._said = time.monotonic()
        self._first_detail = ""
        self._harmless = dict[str, Counter[str]]()  # details, by reason

    @property
    def source(self) -> Source:
        """What is read."""
        return self._reading.source

    @property
    def num_good(self) -> int:
        """Records that speak for it."""
        return self.num_documents + self.rejected[ALREADY_THERE]

    @property
    def num_bad(self) -> int:
        """Records that speak against the source."""
        return sum(n for reason, n in self.rejected.items() if reason not in HARMLESS)

    def documents(self) -> Iterator[Document]:
        """Yield the good documents. Raises ValueError if there are none, or too many bad ones.

        No two dialogues or comparisons have one id. A row with the id and the content of an earlier
        one is left out; one with its id alone gets another, as `Seen.told_apart` says.
        """
        self.rejects.parent.mkdir(parents=True, exist_ok=True)
        with self.rejects.open("w", encoding="utf-8") as lines, Seen() as seen:
            for row in read(self._reading):
                found = told_apart(row, seen) if self.source.is_of_dialogues else row
                self.num_renamed += found.id != row.id
                if isinstance(found, Document):
                    self._tally(found, 1)
                    yield found
                else:
                    lines.write(json.dumps(_row(found), ensure_ascii=False) + "\n")
                    self._count(found)
                    if self.num_good == 0 and self.num_bad >= _PATIENCE:
                        break
                self._say_how_far()
        self._judge()

    def _count(self, found: Reject) -> None:
        self.rejected[found.reason] += found.count
        self.lost_bytes += found.lost_bytes
        if found.reason not in HARMLESS:
            self._first_detail = self._first_detail or found.detail
        elif found.reason != ALREADY_THERE:
            self._harmless.setdefault(found.reason, Counter())[found.detail] += found.count

    def withdraw(self, document: Document) -> None:
        """Count a document that passed as one that is already there."""
        self._tally(document, -1)
        self.num_renamed -= is_renamed(document)
        self.rejected[ALREADY_THERE] += 1

    def _tally(self, document: Document, number: int) -> None:
        """Count a document, or with -1 one that was counted and is none after all."""
        self.num_documents += number
        self.num_text_bytes += number * len(document.text.encode())
        if FORMAT not in document.metadata:
            return
        self.formats[str(document.metadata[FORMAT])] += number
        self.licenses[str(document.metadata.get("license", ""))] += number
        for name in LEFT_OUT:
            self.left_out[name] += number * int(document.metadata.get(name, 0))

    def summary(self) -> dict[str, Any]:
        """Return what is known, for `Ingested`."""
        return {
            "name": self._reading.name,
            "location": self._reading.source.place,
            "license": self._reading.source.license,
            "documents": self.num_documents,
            "text_bytes": self.num_text_bytes,
            "read_bytes": self._reading.num_bytes,
            "kind": self._reading.source.kind,
            "formats": dict((+self.formats).most_common()),
            "left_out": dict(+self.left_out),
            "renamed": self.num_renamed,
            "rejected": dict(sorted(self.rejected.items())),
            "rejects": str(self.rejects),
        }

    def _judge(self) -> None:
        place = self._reading.source.place
        counts = ", ".join(f"{n} {reason}" for reason, n in self.rejected.most_common())
        if self.num_good == 0:
            raise ValueError(
                f"{place} gives no document ({counts or 'it is empty'}): {self._remedy()}"
                f"See {self.rejects}"
            )
        share = self.num_bad / (self.num_bad + self.num_good)
        of_bytes = self.lost_bytes / max(1, self.lost_bytes + self._reading.num_bytes)
        if max(share, of_bytes) > self._reading.source.max_bad:
            what = "records" if share >= of_bytes else "bytes"
            share = max(share, of_bytes)
            raise ValueError(
                f"{share:.1%} of the {what} of {place} are bad ({counts}), the first: "
                f"{self._first_detail}. Mend those in {self.rejects}, or leave them out with "
                f"--max-bad {min(1, share + 0.01):.2f}"
            )
        if self.num_bad:
            log.warning("%s: left out %s; see %s", place, counts, self.rejects)

    def _remedy(self) -> str:
        """Say what was wrong: the first bad record, or what the harmless ones were."""
        if not self._first_detail:
            return "".join(f"{self._kinds(reason)}. " for reason in self._harmless)
        remedy = f"{self._first_detail}. "
        if self.rejected["no text column"]:
            remedy += "Name the one that is meant with --text-column. "
        return remedy

    def _kinds(self, reason: str) -> str:
        found = self._harmless[reason].most_common(_KINDS)
        more = len(self._harmless[reason]) - len(found)
        shown = "; ".join(f"{number} {detail}" for detail, number in found)
        return f"{reason}: {shown}{f'; and {more} other kinds' if more else ''}"

    def _say_how_far(self) -> None:
        if (now := time.monotonic()) - self._said < _SECONDS:
            return
        self._said = now
        log.info(
            "%s: %d documents, %d left out, %.1f MB read",
            self._reading.name,
            self.num_documents,
            self.rejected.total(),
            self._reading.num_bytes / 1e6,
        )


def told_apart(row: Document | Reject, seen: Seen) -> Document | Reject:
    """Return a row that can bring its own id under one that is no other row's.

    One that was seen, id and content, becomes a reject.
    """
    if isinstance(row, Reject):
        return row
    if (found := seen.told_apart(row)) is None:
        detail = "an earlier row has its id and its content"
        place = str(row.metadata.get("source", ""))
        return Reject(row.id, REPEATED, place, detail, row.text[:SAMPLE_CHARACTERS])
    return found


def _row(reject: Reject) -> dict[str, object]:
    return {
        "id": reject.id,
        "reason": reject.reason,
        "place": reject.place,
        "detail": reject.detail,
        "text": reject.sample,
        "records": reject.count,
        "lost_bytes": reject.lost_bytes,
    }
