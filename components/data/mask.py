"""Mask: documents -> documents without personal data, placeholders in its place."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from components.core.artifacts.data import DocumentShards, Planted
from components.core.component import Component
from components.data.personal.detect import PersonalDataKind, mask
from components.data.personal.national import Region
from components.data.personal.planted import Results, measure
from components.data.pieces import Piece, Sieve, cut, gathered, kept_files, work_through


class Mask(Component[DocumentShards, DocumentShards]):
    """Put `<EMAIL>`, `<PHONE>`, ... where personal data is; the rest stays byte for byte.

    No document is dropped, and what was masked is written nowhere. `counts` has what was masked by
    kind. Before the documents, invented data is masked: `planted` and `planted.json` tell how much
    of it was found, and too little of a kind is a ValueError.
    """

    version: ClassVar[str] = "1.1.0"

    kinds: tuple[PersonalDataKind, ...] = ("email", "iban", "card", "ip", "national_id", "phone")
    """What is masked. Of IP addresses, those that point at nobody (loopback, netmasks) stay."""
    regions: tuple[Region, ...] = Field(
        default=("CA", "DE", "ES", "FR", "GB", "IT", "US"), min_length=1
    )
    """Whose national ids, and telephone numbers without a country code, are looked for."""
    names: bool = False
    """Whether names of people are masked too: hundreds of times as slow, in English, and by far not
    all (see `planted`), so nothing is asked of their recall."""
    min_recall: float = Field(default=0.98, ge=0, le=1)
    """Least share of the planted items of each structured kind that must be masked exactly."""

    def run(self, inputs: DocumentShards, out: Path) -> DocumentShards:
        """Write the documents, masked. Raises ValueError if planted items are not found."""
        for old in out.iterdir():
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        results = measure(self.kinds, self.regions, self.names)
        _write(results, out / "planted.json")
        self._refuse(results.rows)
        payload = self.model_dump(mode="json")
        answers = work_through(f"{__name__}:mask_piece", cut(kept_files(inputs)), out, payload)
        return gathered(out, answers).model_copy(update={"planted": results.rows})

    @property
    def asked(self) -> tuple[str, ...]:
        """Everything that is masked, names included."""
        return (*self.kinds, "person") if self.names else self.kinds

    def _refuse(self, rows: Sequence[Planted]) -> None:
        low = [
            f"{row.form} {row.found} of {row.planted} ({row.recall:.3f})"
            for row in rows
            if row.due_recall < self.min_recall
        ]
        if low:
            raise ValueError(
                f"planted personal data was not found: {', '.join(low)}; min_recall is "
                f"{self.min_recall}. What was missed is in planted.json; lower min_recall or take "
                "the kind out of `kinds` only if the documents cannot hold it."
            )


def mask_piece(piece: Piece, out: Path, payload: dict[str, Any]) -> dict[str, Any]:
    """Mask the documents of a piece."""
    step = Mask.model_validate(payload)
    with Sieve(piece, out) as sieve:
        for document in piece.documents():
            text, counts = mask(document.text, step.asked, step.regions)
            sieve.keep(document.model_copy(update={"text": text}) if counts else document)
            sieve.counts.update({f"masked:{kind}": count for kind, count in counts.items()})
            sieve.counts["masked:documents"] += bool(counts)
    return sieve.answer()


def _write(results: Results, file: Path) -> None:
    rows = [
        row.model_dump() | {"recall": row.recall, "precision": row.precision}
        for row in results.rows
    ]
    table = {"rows": rows, "missed": results.missed, "false_alarms": results.false_alarms}
    file.write_text(json.dumps(table, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
