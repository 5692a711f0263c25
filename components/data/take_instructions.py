"""TakeInstructions: the pinned `data/` -> the micro-tasks that models are fine-tuned on."""

from pathlib import Path
from typing import ClassVar

from components.core.artifacts.data import DataFiles, Instructions
from components.core.component import Component
from components.data.repository.pinned import matching, take


def instructions_in(data: DataFiles) -> DataFiles:
    """Return the files of instructions that are learned from; held-out ones are not among them."""
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
