"""What dialogues and comparisons are, as numbers that people and MLflow read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Planted
from components.data.duplicates.near_misses import FORM
from components.data.preparation.lengths import Length, percentiles
from components.data.preparation.preparation import Prepared
from components.data.preparation.sieve import RowSieve
from components.data.preparation.texts import R, Row, messages_of
from components.data.repository.dialogue_sets import About, about
from components.lib.text.dialogue import Comparison

CARD = "card.json"
"""File of a card, beside the rows."""
HELD_OUT = "validation"
"""Name of the rows that are not learnt."""


class SetRow(Frozen):
    """What became of a set."""

    rows: int
    """Rows that it has."""
    kept: int
    """Those that were kept."""
    held_out: int
    """Those of them that are held out: the others are learnt."""
    dropped: dict[str, int]
    """The others, by reason."""
    formats: dict[str, int]
    """Rows by the format that they came in."""
    licenses: dict[str, int]
    """Rows by their licence; an empty one is not known."""
    left_out: dict[str, int]
    """What was left out of rows when they were added, such as reasoning parts, and how many."""


class DialogueCard(Frozen):
    """What is learnt from: `card.json`."""

    kind: str
    """`instructions` or `preferences`."""
    rows: dict[str, int]
    """Rows that were kept, by file."""
    sets: dict[str, SetRow]
    """What became of each set."""
    dropped: dict[str, int]
    """Rows that were left out, by reason."""
    masked: dict[str, int]
    """Personal data that was masked, by kind."""
    turns: dict[str, float]
    """Messages of a row, the answer included: mean, percentiles, most."""
    tokens: dict[str, float]
    """Tokens of a row as the model reads it; of a comparison, with both answers."""
    learnt_share: float
    """Share of these tokens that bear the loss: those of answers to learn, their ends included."""
    max_length: int
    """Tokens that the model reads at once: longer rows were left out."""
    planted: tuple[Planted, ...]
    """What was found of duplicates and near misses that were planted in a sample, by form."""

    def measures(self) -> dict[str, float]:
        """Return the numbers that runs are compared by."""
        kept = sum(self.rows.values())
        return {
            "rows": float(kept),
            "dropped": float(sum(self.dropped.values())),
            "turns_mean": self.turns.get("mean", 0.0),
            "tokens_mean": self.tokens.get("mean", 0.0),
            "tokens_p95": self.tokens.get("p95", 0.0),
            "learnt_share": self.learnt_share,
            **self._found(),
        }

    def _found(self) -> dict[str, float]:
        """Return recall and precision of the form of planted copies that does worst."""
        judged = [row for row in self.planted if row.due and not row.form.startswith(FORM)]
        if not judged:
            return {}
        return {
            "planted_recall": min(row.due_recall for row in judged),
            "planted_precision": min(row.precision for row in judged),
        }


def card_of(
    folder: Path,
    sieve: RowSieve[R],
    prepared: Prepared,
    sides: Mapping[str, Sequence[R]],
    max_length: int,
) -> DialogueCard:
    """Return the card of what was kept of the sets in `folder`, and written to files as `sides`."""
    kept = [prepared.lengths[row.id] for row in sieve.rows]
    held_out = Counter(row.id.partition("/")[0] for row in sides.get(HELD_OUT, ()))
    return DialogueCard(
        kind="preferences" if _are_comparisons(sieve.rows) else "instructions",
        rows={name: len(rows) for name, rows in sides.items()},
        sets={n: _set_row(folder, sieve, n, held_out[n]) for n in sorted(sieve.read)},
        dropped=sieve.total(),
        masked=dict(sorted(prepared.masked.items())),
        turns=percentiles([_num_turns(row) for row in sieve.rows]),
        tokens=percentiles([length.tokens for length in kept]),
        learnt_share=_learnt_share(kept),
        max_length=max_length,
        planted=prepared.planted,
    )


def _set_row(folder: Path, sieve: RowSieve[R], name: str, held_out: int) -> SetRow:
    dropped = sieve.dropped[name] if name in sieve.dropped else Counter[str]()
    known = about(folder / name) or About(formats={}, licenses={})
    return SetRow(
        rows=sieve.read[name],
        kept=sieve.read[name] - dropped.total(),
        held_out=held_out,
        dropped=dict(sorted(dropped.items())),
        formats=known.formats,
        licenses=known.licenses,
        left_out=known.left_out,
    )


def _learnt_share(lengths: Sequence[Length]) -> float:
    total = sum(length.tokens for length in lengths)
    return round(sum(length.learnt for length in lengths) / max(1, total), 4)


def _num_turns(row: Row) -> int:
    return len(messages_of(row)) + isinstance(row, Comparison)


def _are_comparisons(rows: Sequence[Row]) -> bool:
    return any(isinstance(row, Comparison) for row in rows)
