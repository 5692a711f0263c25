"""What `bloomery data add` says of what it has added, or would add."""

from collections.abc import Iterator

from components.data.repository.ingested import Ingested
from components.data.sources.preview import Preview

_FILES = 20  # that a dry run names
_RENAMED = "the id of another row and other content: their id"
_OWN = "ID~ and 8 hex digits"
_ROWS = {"instructions": "dialogues", "preferences": "comparisons"}
_FIELD = {"instructions": "finetune.instructions", "preferences": "align.preferences"}


def kind_of(kind: str, evaluation: bool) -> str:
    """Return what the rows are. Raises ValueError if --as and --evaluation say different things."""
    if evaluation and kind not in ("documents", "evaluation"):
        raise ValueError(f"--evaluation says --as evaluation, and --as says {kind}: give one")
    return "evaluation" if evaluation else kind


def said_of(done: Ingested) -> Iterator[str]:
    """Yield the lines: formats, what was left out, where it lies, what to do next."""
    for name, number in done.formats.items():
        yield f"{number:8} recognised as {name}"
    for reason, number in done.rejected.items():
        yield f"{number:8} left out: {reason}"
    for what, number in done.left_out.items():
        yield f"{number:8} {what}, left out of {_ROWS.get(done.kind, 'rows')} that were kept"
    if done.renamed:
        yield f"{done.renamed:8} have {_RENAMED} became {_OWN}"
    where = f"data/{'' if done.kind == 'documents' else f'{done.kind}/'}{done.name}"
    rows = _ROWS.get(done.kind, "documents")
    yield f"{done.documents:8} {rows} added to {where}, {done.total_documents} there now."
    yield f"data.dvc now pins revision {done.revision}."
    if done.rejected:
        yield f"What was left out: {done.rejects}"
    command = f"bloomery run{_setting(done)}"
    yield f"Next: `{command}`. Keep the revision with `git commit data.dvc`."


def planned(found: Preview) -> Iterator[str]:
    """Yield what a dry run says: how each file would be read, and what of it."""
    for file in found.files[:_FILES]:
        yield f"{file.place}: {file.reader}"
    if len(found.files) > _FILES:
        yield f"... and {len(found.files) - _FILES:,} more"
    for name, number in found.formats.items():
        yield f"{number:8} recognised so far as {name}"
    for reason, number in found.rejected.items():
        yield f"{number:8} left out so far: {reason}"
    for what, number in found.left_out.items():
        yield f"{number:8} so far bring {what}, which would be left out"
    if found.renamed:
        yield f"{found.renamed:8} so far have {_RENAMED} would become {_OWN}"


def _setting(done: Ingested) -> str:
    field = _FIELD.get(done.kind)
    return f" --set {field}='[\"{done.name}\"]'" if field else ""
