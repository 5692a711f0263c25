"""The lineage of an artifact: the chain of records back to the revision of the data."""

from pathlib import Path
from typing import Any

from rich.tree import Tree

from components.core.record import RECORD, Record, read_record


def chain(folder: Path) -> dict[str, Any]:
    """Return the artifact in `folder` and, nested, everything it was made from.

    Raises:
        ValueError: the folder has no record.
    """
    record = _record(folder)
    return {
        **_facts(record),
        "inputs": {name: chain(source.path) for name, source in record.inputs.items()},
    }


def tree(folder: Path) -> Tree:
    """Return the lineage for a terminal; what was shown before is only named again."""
    shown: set[str] = set()

    def grow(folder: Path, label: str) -> Tree:
        record = _record(folder)
        title = f"{label}[bold]{record.component}[/] {record.version} [dim]{record.fingerprint}[/]"
        branch = Tree(title)
        if record.fingerprint in shown:
            return Tree(f"{title} [dim](above)[/]")
        shown.add(record.fingerprint)
        for name, source in record.inputs.items():
            branch.add(grow(source.path, f"{name}: "))
        if not record.inputs:
            branch.add(f"data revision [bold]{record.data_revision}[/]")
        return branch

    return grow(folder, "")


def _record(folder: Path) -> Record:
    if not (folder / RECORD).exists():
        raise ValueError(f"{folder} has no {RECORD}: no component made it, so it has no lineage.")
    return read_record(folder)


def _facts(record: Record) -> dict[str, Any]:
    wanted = {"component", "version", "fingerprint", "config", "seconds"}
    wanted |= {"git_revision", "data_revision", "mlflow_run_id"}
    return record.model_dump(mode="json", include=wanted)
