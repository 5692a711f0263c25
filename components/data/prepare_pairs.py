"""PreparePairs: sets of comparisons -> those that a model shall learn to prefer by."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from components.core.artifacts.data import Comparisons, Preferences
from components.core.component import Component
from components.core.files import write_atomically
from components.data.document import write_lines
from components.data.preparation.card import CARD, card_of
from components.data.preparation.preparation import REJECTS, Preparation, PrepareInputs
from components.data.preparation.sieve import RowSieve
from components.data.repository.dialogue_sets import FILES
from components.lib.text.dialogue import Comparison

_SCRATCH = "scratch"


class PreparePairsInputs(PrepareInputs):
    """What `PreparePairs` reads."""

    preferences: Preferences
    """Named sets of comparisons."""


class PreparePairs(Preparation, Component[PreparePairsInputs, Comparisons]):
    """Leave out duplicates, what models are tested on, and what the model cannot read; mask.

    Writes `comparisons.jsonl`, `rejects.jsonl` with reasons, and `card.json`.
    """

    version: ClassVar[str] = "1.1.0"

    def run(self, inputs: PreparePairsInputs, out: Path) -> Comparisons:
        """Write the comparisons.

        Raises:
            ValueError: none is left.
        """
        folder, name = inputs.preferences.path, FILES["preferences"]
        files = sorted(folder.glob(f"*/{name}"))
        sieve = RowSieve(row for file in files for row in _comparisons(file))
        shutil.rmtree(out / _SCRATCH, ignore_errors=True)  # what a killed attempt left
        prepared = self.sift(sieve, inputs, out / _SCRATCH)
        sieve.write_rejects(out / REJECTS)
        if not sieve.rows:
            raise ValueError(
                f"No comparison is left. Left out were {sieve.total() or 'none'}: see {REJECTS}. "
                "Add more with `bloomery data add NAME SOURCE --as preferences`."
            )
        lines = (row.model_dump(mode="json", exclude_defaults=True) for row in sieve.rows)
        write_lines(out / name, lines)
        sides = {"comparisons": sieve.rows}
        card = card_of(folder, sieve, prepared, sides, inputs.max_length)
        write_atomically(out / CARD, card.model_dump_json(indent=1) + "\n")
        return Comparisons(
            path=out,
            num_pairs=len(sieve.rows),
            names=tuple(sorted(sieve.read)),
            dropped=card.dropped,
            measures=card.measures(),
        )


def _comparisons(file: Path) -> Iterator[Comparison]:
    with file.open(encoding="utf-8", newline="\n") as lines:
        yield from map(Comparison.model_validate_json, lines)
