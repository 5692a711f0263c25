"""Documents out of a user's files: plain text, JSON lines and Parquet, read as a stream."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from components.data.document import Document

_PARQUET_MAGIC = b"PAR1"
_BATCH_ROWS = 256

log = logging.getLogger(__name__)


def read_user_documents(path: Path, name: str) -> Iterator[Document]:
    """Yield the documents of a .txt, .jsonl or .parquet file, or of a folder of these.

    Rows need a column "text"; other columns become metadata where they are text or integers. A
    document is called `NAME/<relative path>` with `#<row>`, from 1, in .jsonl and .parquet. Blank
    texts are left out and logged. Raises ValueError, with file and place, for what is unreadable.
    """
    num_documents = num_blank = 0
    for file in _readable_files(path):
        relative = file.relative_to(path) if path.is_dir() else Path(file.name)
        for document in _READ[file.suffix.lower()](file, f"{name}/{relative.as_posix()}"):
            if document.text.strip():
                num_documents += 1
                yield document
            else:
                num_blank += 1
    if num_documents == 0:
        raise ValueError(f"{path} holds only blank text ({num_blank} documents): nothing to learn")
    log.info("%s: %d documents, %d blank ones left out", path, num_documents, num_blank)


def _readable_files(path: Path) -> list[Path]:
    if not path.exists():
        raise ValueError(f"{path} does not exist: give a file or a folder")
    found = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    files = [file for file in found if file.suffix.lower() in _READ]
    others = [file.name for file in found if file.suffix.lower() not in _READ]
    if not files:
        raise ValueError(
            f"{path} holds no .txt, .jsonl or .parquet file, {len(others)} other files: "
            f"{', '.join(others[:5]) or 'it is empty'}"
        )
    if others:
        log.warning("%s: %d files of other kinds not read: %s", path, len(others), others[:5])
    for file in files:
        _check_kind(file)
    return files


def _check_kind(file: Path) -> None:
    """Refuse an empty file and one that is not what its name says, before anything is read."""
    with file.open("rb") as stream:
        is_parquet = stream.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    if file.stat().st_size == 0:
        raise ValueError(f"{file} is empty: remove it or fill it")
    if is_parquet != (file.suffix.lower() == ".parquet"):
        content = "a Parquet file" if is_parquet else "no Parquet file"
        raise ValueError(f"{file} is {content}, whatever its name says: rename it")


def _read_text(file: Path, name: str) -> Iterator[Document]:
    yield _document(_decode(file.read_bytes(), file, offset=0), {}, name, str(file))


def _read_json_lines(file: Path, name: str) -> Iterator[Document]:
    offset = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if text := _decode(line, file, offset).strip():
                place = f"{file}, line {number}"
                yield _row_document(_parse_row(text, place), f"{name}#{number}", place)
            offset += len(line)


def _parse_row(line: str, place: str) -> dict[str, object]:
    try:
        row: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise ValueError(f'{place}: a JSON object with a "text" is needed, found {line[:40]!r}')
    return cast("dict[str, object]", row)


def _read_parquet(file: Path, name: str) -> Iterator[Document]:
    number = 0
    for number, row in enumerate(_parquet_rows(file), start=1):
        yield _row_document(row, f"{name}#{number}", f"{file}, row {number}")
    if number == 0:
        raise ValueError(f"{file} has no rows: remove it or fill it")


def _parquet_rows(file: Path) -> Iterator[dict[str, object]]:
    import pyarrow.parquet as parquet  # here, since it takes a second and most runs need none

    try:
        with parquet.ParquetFile(file) as opened:
            table: Any = opened  # pyarrow has no types
            for batch in table.iter_batches(_BATCH_ROWS):
                yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is Parquet that cannot be read: {error}") from error


def _row_document(row: dict[str, object], name: str, place: str) -> Document:
    if "text" not in row:
        columns = ", ".join(sorted(row)) or "none"
        raise ValueError(f'{place}: no column "text" among these: {columns}. Rename the one meant')
    text = row.pop("text")
    if not isinstance(text, str):
        raise ValueError(f'{place}: "text" is {type(text).__name__}, not text: {str(text)[:40]!r}')
    metadata = {
        key: value
        for key, value in row.items()
        if isinstance(value, str | int) and not isinstance(value, bool)
    }
    return _document(text, metadata, name, place)


def _document(text: str, metadata: dict[str, str | int], name: str, place: str) -> Document:
    try:
        for part in (name, text, *metadata, *metadata.values()):
            str(part).encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can escape half of a surrogate pair
        raise ValueError(f"{place}: UTF-8 cannot hold it, remove it: {error}") from error
    return Document(id=name, text=text, metadata=metadata)


def _decode(content: bytes, file: Path, offset: int) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file} is not UTF-8 at byte {offset + error.start}: convert it, for example "
            "iconv -f latin1 -t utf-8"
        ) from error
    return text.removeprefix("\ufeff") if offset == 0 else text


_READ: dict[str, Callable[[Path, str], Iterator[Document]]] = {
    ".txt": _read_text,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
