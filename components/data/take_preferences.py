"""TakePreferences: the pinned `data/` -> prompts whose answers are compared, or comparisons."""

from pathlib import Path
from typing import ClassVar

from components.core.artifacts.data import DataFiles, Preferences
from components.core.component import Component
from components.data.repository.named_sets import sets_in
from components.data.repository.pinned import matching, take


def preferences_in(data: DataFiles, names: tuple[str, ...] = ()) -> DataFiles:
    """Return the files of the sets that are named, else that of the built-in prompts.

    Raises:
        ValueError: a name has no set.
    """
    if names:
        return sets_in(data, "preferences", names)
    return matching(data, r"preferences/prompts\.jsonl")


class TakePreferences(Component[DataFiles, Preferences]):
    """Link the preferences out of `data/`."""

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataFiles, out: Path) -> Preferences:
        """Link the files that `preferences_in` chose.

        Raises:
            ValueError: they cannot be had.
        """
        take(inputs, out, below="preferences/")
        return Preferences(path=out, revision=inputs.revision)
