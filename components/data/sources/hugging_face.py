"""Hugging Face datasets: from the hub, streamed, or from a local folder."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from components.data.document import Document
from components.data.sources.documents import document_of_row
from components.data.sources.source import Blob, Budget, Reading, Reject

_SAVED = ("dataset_dict.json", "state.json")
_KEPT = re.compile(r"(large_)?string|u?int(8|16|32|64)")


def is_saved_dataset(folder: Path) -> bool:
    """Whether `datasets` has saved a dataset in `folder`."""
    return any((folder / name).is_file() for name in _SAVED)


def read_dataset(reading: Reading) -> Iterator[Document | Reject]:
    """Yield the document of each row of a split; rows are numbered from 1.

    `hf://owner/name` is of the hub, `hf://owner/name:config` one of its configurations,
    `hf:///folder` a local one. Raises ValueError if it or the split cannot be had.
    """
    from datasets.exceptions import DatasetsError

    location = reading.source.location.removeprefix("hf://")
    rows = _opened(location, reading.source.split)
    name, place = location, f"hf://{location}"
    if Path(location).is_dir():
        name = Path(location).resolve().name
        place = name
    blob = _blob(reading, name.replace(":", "/"), place)
    wanted = [*reading.source.text_column.split(","), reading.source.text_column]
    if rows.features is not None:
        kept = [k for k, v in rows.features.items() if k in wanted or _is_kept(v)]
        rows = rows.select_columns(kept)  # else pictures and sounds would be decoded
    number = 0
    try:
        for number, row in enumerate(rows, start=1):
            found = document_of_row(reading, blob, row, number)
            reading.num_bytes += len(found.text.encode()) if isinstance(found, Document) else 0
            yield found
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        raise ValueError(f"{place} breaks off after row {number}: {error}. Try again") from error


def _opened(location: str, split: str) -> Any:
    import datasets

    try:
        if is_saved_dataset(Path(location)):
            saved: Any = datasets.load_from_disk(location)
            if not isinstance(saved, datasets.DatasetDict):
                return saved
            if split not in saved:
                raise ValueError(f"no split {split!r}; there are {', '.join(map(str, saved))}")
            return saved[split]
        name, _, config = location.partition(":")
        return datasets.load_dataset(name, config or None, split=split, streaming=True)
    except (OSError, ValueError, RuntimeError) as error:
        offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
        hint = " The hub is off limits: set HF_HUB_OFFLINE=0." if offline else ""
        raise ValueError(f"hf://{location} cannot be had: {error}.{hint}") from error


def _is_kept(feature: Any) -> bool:
    return _KEPT.fullmatch(str(getattr(feature, "dtype", ""))) is not None


def _blob(reading: Reading, name: str, place: str) -> Blob:
    def opened() -> BinaryIO:
        raise AssertionError("rows come from `datasets`")

    name = f"{name}/{reading.source.split}"
    return Blob(name, name, place, opened, Budget(reading.source.max_ratio))
