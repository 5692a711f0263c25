"""Texts and rows as documents, and why some are none."""

import json
from collections.abc import Mapping

from components.data.dialogues.instructions import dialogue_of
from components.data.dialogues.refused import Refused
from components.data.dialogues.rows import known_row
from components.data.document import Document
from components.data.sources.chats import chat_text
from components.data.sources.source import SAMPLE_CHARACTERS, Blob, Reading, Reject

FORMAT = "recognised as"
"""Metadata of a dialogue or a comparison: the format of its row."""
_OURS = ("source", "row", "format", "content_type")
_TOO_LONG = "more than {} bytes: cut it up, or allow more with --max-record-mib"


def made(
    reading: Reading, blob: Blob, text: str, row: int | None = None, **metadata: str | int
) -> Document | Reject:
    """Return the document of a text, with where it came from, or the reject of a bad one.

    Known metadata that would be taken for where it came from is called `original_...`.
    """
    theirs = {f"original_{k}" if k in _OURS else k: v for k, v in metadata.items()}
    known = {"source": blob.place} | ({} if row is None else {"row": row}) | blob.metadata
    if reading.source.license:
        known = {"license": reading.source.license} | known
    name = id_of(reading, blob, row)
    problem, reason = _problem(reading, text, theirs)
    if reason:
        return reject(reading, blob, reason, problem, text, row)
    return Document(id=name, text=text, metadata={**known, **theirs})


def _problem(reading: Reading, text: str, metadata: Mapping[str, str | int]) -> tuple[str, str]:
    if not text.strip():
        return "nothing but white space", "blank"
    try:
        size = len(text.encode("utf-8"))
        for part in (*metadata, *metadata.values()):
            str(part).encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can escape half of a surrogate pair
        return f"UTF-8 cannot hold it: {error}", "not UTF-8"
    except ValueError as error:  # a number of more digits than Python prints
        return str(error), "unreadable"
    if size > reading.source.max_record_bytes:
        return _TOO_LONG.format(reading.source.max_record_bytes), "too long"
    return "", ""


def id_of(reading: Reading, blob: Blob, row: int | None = None) -> str:
    """Return the id of a document: `NAME/path`, with `#row` where there are rows."""
    return f"{reading.name}/{blob.name}" + ("" if row is None else f"#{row}")


def reject(
    reading: Reading,
    blob: Blob,
    reason: str,
    detail: str,
    sample: str | bytes = "",
    row: int | None = None,
) -> Reject:
    """Return a reject with its place and the beginning of what it is."""
    if isinstance(sample, bytes):
        sample = sample[: 4 * SAMPLE_CHARACTERS].decode("utf-8", "backslashreplace")
    place = blob.place if "member" not in blob.metadata else f"{blob.place}, {blob.name}"
    return Reject(
        id=id_of(reading, blob, row),
        reason=reason,
        place=place if row is None else f"{place}, record {row}",
        detail=detail[:SAMPLE_CHARACTERS],
        sample=sample[:SAMPLE_CHARACTERS].encode("utf-8", "backslashreplace").decode("utf-8"),
    )


def too_long(reading: Reading, blob: Blob, sample: bytes, row: int | None = None) -> Reject:
    """Return the reject of a record above the limit."""
    detail = _TOO_LONG.format(reading.source.max_record_bytes)
    return reject(reading, blob, "too long", detail, sample, row)


def document_of_row(
    reading: Reading, blob: Blob, row: Mapping[str, object], number: int
) -> Document | Reject:
    """Return the document of a row: its text column, and as metadata what is text or integer.

    Of dialogues and preferences, its text is what `known_row` makes of the row.
    """
    if reading.source.is_of_dialogues:
        return _dialogue_of_row(reading, blob, row, number)
    columns = text_columns(reading, row)
    if missing := [name for name in columns if name not in row]:
        if reading.source.kind == "evaluation" and (asked := _as_item(row)):
            return made(reading, blob, asked, number)
        detail = f"no column {missing[0]!r} among these: {', '.join(sorted(map(str, row)))}"
        return reject(reading, blob, "no text column", detail, _shown(row), number)
    try:
        texts = [_as_text(row[name]) for name in columns]
    except UnicodeDecodeError as error:
        return reject(reading, blob, "not UTF-8", str(error), error.object, number)
    wrong = [row[name] for name, text in zip(columns, texts, strict=True) if text is None]
    if wrong:
        detail = (
            f"{', '.join(columns)} is {type(wrong[0]).__name__}, not text: {str(wrong[0])[:40]!r}"
        )
        return reject(reading, blob, "not text", detail, _shown(row), number)
    metadata = {
        str(key): value
        for key, value in row.items()
        if key not in columns and isinstance(value, str | int) and not isinstance(value, bool)
    }
    return made(
        reading, blob, "\n".join(text for text in texts if text is not None), number, **metadata
    )


def _as_item(row: Mapping[str, object]) -> str:
    """Return what a dialogue says, as an item to test on; nothing if the row is none."""
    try:
        messages = dialogue_of(row, "").dialogue.messages
    except (Refused, UnicodeDecodeError):
        return ""
    return "\n\n".join(message.content for message in messages if message.content.strip())


def _dialogue_of_row(
    reading: Reading, blob: Blob, row: Mapping[str, object], number: int
) -> Document | Reject:
    """Return a row's dialogue or comparison, with its format and licence as metadata."""
    try:
        known = known_row(row, reading.source.kind)
    except Refused as error:
        return reject(reading, blob, error.reason, error.detail, _shown(row), number)
    except UnicodeDecodeError as error:
        return reject(reading, blob, "not UTF-8", str(error), error.object, number)
    license_ = row.get("license")
    metadata: dict[str, str | int] = {}
    if isinstance(license_, str) and license_:
        metadata["license"] = license_
    metadata |= {FORMAT: known.format} | known.left_out
    found = made(reading, blob, known.text, number, **metadata)
    own = row.get("id")
    if isinstance(found, Reject) or not isinstance(own, str | int) or own == "":
        return found
    return found.model_copy(update={"id": f"{id_of(reading, blob)}#{own}"})


def _as_text(value: object) -> str | None:
    """Return a text, bytes decoded, or a list of messages as the text of a chat; else None.

    What Impala and old Spark write is text without the mark that it is: bytes.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return value if isinstance(value, str) else chat_text(value)


def _shown(row: Mapping[str, object]) -> str:
    return json.dumps(dict(row), ensure_ascii=False, default=str)


def text_columns(reading: Reading, columns: Mapping[str, object]) -> list[str]:
    """Return the columns that make the text: one may have commas in its name."""
    wanted = reading.source.text_column
    return [wanted] if wanted in columns else wanted.split(",")
