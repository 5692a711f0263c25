"""TakeInstructions: the pinned `data/` -> the micro-tasks or dialogues that are learnt."""

from pathlib import Path
from typing import ClassVar

from components.core.artifacts.data import DataFiles, Instructions
from components.core.component import Component
from components.data.repository.named_sets import sets_in
from components.data.repository.pinned import matching, take


def instructions_in(data: DataFiles, names: tuple[str, ...] = ()) -> DataFiles:
    """Return the files of the sets that are named, else those of the micro-tasks.

    Micro-tasks that are held out are not among them.

    Raises:
        ValueError: a name has no set.
    """
    if names:
        return sets_in(data, "instructions", names)
    return matching(data, r"instructions/(train|validation)\.jsonl")


class TakeInstructions(Component[DataFiles, Instructions]):
    """Link the instructions out of `data/`."""

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataFiles, out: Path) -> Instructions:
        """Link the files that `instructions_in` chose.

        Raises:
            ValueError: they cannot be had.
        """
        take(inputs, out, below="instructions/")
        return Instructions(path=out, revision=inputs.revision)
