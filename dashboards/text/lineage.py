"""The lineage of an artifact: the chain of records back to the revision of the data."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.tree import Tree

from components.core.record import RECORD, Record, read_record
from components.core.settings import settings


class _Link(NamedTuple):
    """A place in the chain, from the model on."""

    depth: int
    label: str
    record: Record
    is_repeated: bool
    """Whether it was named before, with everything it was made from."""


def chain(folder: Path) -> dict[str, Any]:
    """Return the artifact in `folder` and, nested, everything it was made from.

    Of an input from elsewhere, such as a base that was named by its path, only that path and the
    fingerprint of its content are known.

    Raises:
        ValueError: the folder has no record.
    """
    record = _record(folder)
    return {
        **_facts(record),
        "inputs": {
            name: chain(source.path) if _is_made(source.path) else source.model_dump(mode="json")
            for name, source in record.inputs.items()
        },
    }


def tree(folder: Path) -> Tree:
    """Return the lineage for a terminal; what was shown before is only named again."""
    branches = [Tree("")]
    for depth, label, record, is_repeated in _links(folder):
        title = f"{label}[bold]{record.component}[/] {record.version} [dim]{record.fingerprint}[/]"
        branch = branches[depth].add(f"{title} [dim](above)[/]" if is_repeated else title)
        branches[depth + 1 :] = [branch]
        if not record.inputs and not is_repeated:
            branch.add(f"data revision [bold]{record.data_revision}[/]")
    return branches[1]


def markdown(folder: Path, page_of: Callable[[str], str]) -> str:
    """Return the lineage as a nested list, each step once, whose steps lead to their MLflow runs.

    `page_of` gives the address of an MLflow run.
    """
    lines: list[str] = []
    for depth, label, record, is_repeated in _links(folder):
        run = record.mlflow_run_id
        name = f"[{record.component}]({page_of(run)})" if run else record.component
        if is_repeated:  # it would be most of the list
            continue
        line = f"{'    ' * depth}- {label}{name} {record.version} `{record.fingerprint}`"
        if not record.inputs:
            line += f", data revision `{record.data_revision}`"
        lines.append(line)
    return "\n".join(lines)


def _links(folder: Path) -> Iterator[_Link]:
    """Yield the places of the chain, each before what it was made from."""
    seen = set[str]()

    def walk(folder: Path, label: str, depth: int) -> Iterator[_Link]:
        record = _record(folder)
        is_repeated = record.fingerprint in seen
        seen.add(record.fingerprint)
        yield _Link(depth, label, record, is_repeated)
        if not is_repeated:
            for name, source in record.inputs.items():
                if _is_made(source.path):
                    yield from walk(source.path, f"{name}: ", depth + 1)

    return walk(folder, "", 0)


def _is_made(folder: Path) -> bool:
    """Whether a component made an input, whose record may be missing, or it is from elsewhere."""
    return (folder / RECORD).exists() or folder.is_relative_to(settings().artifacts)


def _record(folder: Path) -> Record:
    if not (folder / RECORD).exists():
        raise ValueError(f"{folder} has no {RECORD}: no component made it, so it has no lineage.")
    return read_record(folder)


def _facts(record: Record) -> dict[str, Any]:
    wanted = {"component", "version", "fingerprint", "config", "seconds"}
    wanted |= {"git_revision", "data_revision", "mlflow_run_id"}
    return record.model_dump(mode="json", include=wanted)
