"""PrepareDialogues: sets of dialogues -> those that a model shall learn from, and some held out."""

import hashlib
import shutil
from collections import defaultdict
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from components.core.artifacts.data import Dialogues, Instructions
from components.core.component import Component
from components.core.files import write_atomically
from components.data.document import write_lines
from components.data.preparation.card import CARD, HELD_OUT, card_of
from components.data.preparation.preparation import REJECTS, Preparation, PrepareInputs
from components.data.preparation.sieve import RowSieve
from components.data.preparation.texts import asked_first
from components.data.repository.dialogue_sets import FILES
from components.lib.text.dialogue import Dialogue, read_dialogues

_SCRATCH = "scratch"


class PrepareDialoguesInputs(PrepareInputs):
    """What `PrepareDialogues` reads."""

    instructions: Instructions
    """Named sets of dialogues."""


class PrepareDialogues(Preparation, Component[PrepareDialoguesInputs, Dialogues]):
    """Leave out duplicates, what models are tested on, and what the model cannot read; mask, split.

    Dialogues that begin with the same question are on the same side of the split. Writes
    `train.jsonl`, `validation.jsonl`, `rejects.jsonl` with reasons, and `card.json`.
    """

    version: ClassVar[str] = "1.1.0"

    validation_share: float = Field(default=0.05, gt=0, le=0.5)
    """Share of the first questions whose dialogues are not trained on, by a hash of the question:
    the loss is measured there. At least one is held out."""

    def run(self, inputs: PrepareDialoguesInputs, out: Path) -> Dialogues:
        """Write the dialogues.

        Raises:
            ValueError: what is left cannot be split.
        """
        folder = inputs.instructions.path
        files = sorted(folder.glob(f"*/{FILES['instructions']}"))
        sieve = RowSieve(row for file in files for row in read_dialogues(file))
        shutil.rmtree(out / _SCRATCH, ignore_errors=True)  # what a killed attempt left
        prepared = self.sift(sieve, inputs, out / _SCRATCH)
        sieve.write_rejects(out / REJECTS)
        sides = self.split(sieve.rows, sieve.total())
        for name, rows in sides.items():
            lines = (row.model_dump(mode="json", exclude_defaults=True) for row in rows)
            write_lines(out / f"{name}.jsonl", lines)
        card = card_of(folder, sieve, prepared, sides, inputs.max_length)
        write_atomically(out / CARD, card.model_dump_json(indent=1) + "\n")
        return Dialogues(
            path=out,
            revision=inputs.instructions.revision,
            names=tuple(sorted(sieve.read)),
            num_dialogues=card.rows,
            dropped=card.dropped,
            measures=card.measures(),
        )

    def split(self, rows: list[Dialogue], dropped: dict[str, int]) -> dict[str, list[Dialogue]]:
        """Return the rows of `train` and `validation`.

        Raises:
            ValueError: fewer than two of them begin with different questions.
        """
        groups = defaultdict[float, list[Dialogue]](list)
        for row in rows:
            groups[_place(asked_first(row))].append(row)
        if len(groups) < 2:
            raise ValueError(
                f"{len(rows)} dialogues are left, which begin with {len(groups)} questions: one to "
                f"learn and one to hold out are needed. Left out were {dropped or 'none'}: see "
                f"{REJECTS}. Add more with `bloomery data add NAME SOURCE --as instructions`."
            )
        first, *_, last = sorted(groups)
        held_out = {
            place
            for place in groups
            if place == first or (place < self.validation_share and place != last)
        }
        sides: dict[str, list[Dialogue]] = {"train": [], HELD_OUT: []}
        for row in rows:
            is_held_out = _place(asked_first(row)) in held_out
            sides[HELD_OUT if is_held_out else "train"].append(row)
        return sides


def _place(text: str) -> float:
    """Return a number from 0 to 1 that depends on nothing but a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48
