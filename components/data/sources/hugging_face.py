"""Hugging Face datasets: from the hub, streamed, or from a local folder."""

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from components.data.dialogues.rows import COLUMNS
from components.data.document import Document
from components.data.sources.documents import document_of_row, reject
from components.data.sources.records import bounded_lines, json_values
from components.data.sources.source import Blob, Budget, Reading, Reject
from components.data.sources.streams import Whole, buffered, head

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
    rows: Any = _opened(location, reading.source.split)
    if isinstance(rows, tuple):
        yield from _read_json_files(reading, location, rows)
        return
    name, place = location, f"hf://{location}"
    if Path(location).is_dir():
        name = Path(location).resolve().name
        place = name
    blob = _blob(reading, name.replace(":", "/"), place)
    wanted = [*reading.source.text_column.split(","), reading.source.text_column]
    if reading.source.kind != "documents":
        wanted = [*COLUMNS]
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
        builder: Any = datasets.load_dataset_builder(name, config or None)
        if files := json_files(builder, split):
            return files
        return builder.as_streaming_dataset(split=split)
    except (OSError, ValueError, RuntimeError) as error:
        offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
        hint = " The hub is off limits: set HF_HUB_OFFLINE=0." if offline else ""
        raise ValueError(f"hf://{location} cannot be had: {error}.{hint}") from error


def json_files(builder: Any, split: str) -> tuple[str, ...]:
    """Return the JSON files that a split is made of, none if it is made of something else.

    `datasets` (5.2.0) makes timestamps of texts like `2024-01-02`, and floats of integers above
    2**63 - 1: what it has read is not what stands there.
    """
    is_json = type(builder).__module__.endswith("packaged_modules.json.json")
    files = (builder.config.data_files or {}).get(split, ()) if is_json else ()
    plain = not getattr(builder.config, "field", None) and not any("::" in name for name in files)
    return tuple(map(str, files)) if plain else ()


def _read_json_files(
    reading: Reading, location: str, files: tuple[str, ...]
) -> Iterator[Document | Reject]:
    """Yield the document of each row of some JSON files, numbered from 1 through all of them."""
    is_local = Path(location).is_dir()
    name = Path(location).resolve().name if is_local else location
    place = name if is_local else f"hf://{location}"
    blob = _blob(reading, name.replace(":", "/"), place)
    number = 0
    for file in files:
        try:
            for row in _json_rows(reading, blob, file):
                number += 1
                if isinstance(row, Reject):
                    yield row
                    continue
                reading.num_bytes += len(str(row))
                yield document_of_row(reading, blob, row, number)
        except OSError as error:
            raise ValueError(
                f"{place} breaks off after row {number}: {error}. Try again"
            ) from error


def _json_rows(reading: Reading, blob: Blob, file: str) -> Iterator[dict[str, object] | Reject]:
    import fsspec

    opened: Any = fsspec.open(file, "rb", compression="infer")
    with opened as stream:
        text = buffered(Whole(cast("BinaryIO", io.BufferedReader(stream))))
        start = head(text).lstrip()
        cut = json_values if start.startswith(b"[") else bounded_lines
        for number, record in enumerate(cut(text, reading.source.max_record_bytes), start=1):
            if not record.content.strip():
                continue
            try:
                row: object = json.loads(record.content) if record.is_whole else None
            except ValueError as error:
                yield reject(reading, blob, "not JSON", f"{file}: {error}", record.content, number)
                continue
            if isinstance(row, dict):
                yield cast("dict[str, object]", row)
            elif isinstance(row, str):
                yield {"text": row}
            else:
                problem = "not an object, or too long"
                yield reject(
                    reading, blob, "not JSON", f"{file}: {problem}", record.content, number
                )


def _is_kept(feature: Any) -> bool:
    return _KEPT.fullmatch(str(getattr(feature, "dtype", ""))) is not None


def _blob(reading: Reading, name: str, place: str) -> Blob:
    def opened() -> BinaryIO:
        raise AssertionError("rows come from `datasets`")

    name = f"{name}/{reading.source.split}"
    return Blob(name, name, place, opened, Budget(reading.source.max_ratio))
