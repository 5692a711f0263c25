"""The named sets of dialogues or comparisons among the files of `data/`."""

from components.core.artifacts.data import DataFiles
from components.data.dialogues.rows import Kind
from components.data.repository.pinned import matching


def sets_in(data: DataFiles, kind: Kind, names: tuple[str, ...]) -> DataFiles:
    """Return the files of the sets of a kind that are named.

    Raises:
        ValueError: a name has no set.
    """
    found = matching(data, rf"{kind}/[^/]+/(dialogues|comparisons|about)\.jsonl?")
    there = sorted({file.name.split("/")[1] for file in found.files})
    if missing := sorted({*names} - {*there}):
        raise ValueError(
            f"data/ holds no {kind} called {', '.join(missing)}; it has: "
            f"{', '.join(there) or 'none'}. Add them: `bloomery data add {missing[0]} SOURCE "
            f"--as {kind}`."
        )
    chosen = tuple(file for file in found.files if file.name.split("/")[1] in names)
    return found.model_copy(update={"files": chosen})
