"""TakePreferences: the pinned `data/` -> the prompts whose answers are compared."""

from pathlib import Path
from typing import ClassVar

from components.core.artifacts.data import DataFiles, Preferences
from components.core.component import Component
from components.data.repository.pinned import matching, take


def preferences_in(data: DataFiles) -> DataFiles:
    """Return the file of preference prompts."""
    return matching(data, r"preferences/prompts\.jsonl")


class TakePreferences(Component[DataFiles, Preferences]):
    """Link the preference prompts out of `data/`."""

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataFiles, out: Path) -> Preferences:
        """Link the file that `preferences_in` chose.

        Raises:
            ValueError: it cannot be had.
        """
        take(inputs, out, below="preferences/")
        return Preferences(path=out, revision=inputs.revision)
