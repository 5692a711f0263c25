"""What an earlier run made of data: its card, its documents."""

from collections.abc import Iterator
from pathlib import Path

from components.core.artifacts.data import DataCard, Documents, DocumentShards
from components.core.journal import find_run, read_runs, read_steps
from components.core.record import read_record
from dashboards.text.card import read_card
from dashboards.text.dialogue_card import read_card as read_dialogue_card

_PREPARED = ("data.prepare_dialogues", "data.prepare_pairs")


def find_card(name: str | None) -> tuple[Path, str | None]:
    """Return the folder of the newest card, and the source that `name` means, if it means one.

    `name` is the name or id of a flow run, or of a dataset in `data/`.

    Raises:
        ValueError: there is none.
    """
    seen: set[str] = set()
    for names, folder in _cards():
        if name is None or name in names:
            return folder, None
        sources = read_card(folder)["funnel_by_source"]
        if name in sources:
            return folder, name
        seen |= set(sources)
    known = f" There are cards of: {', '.join(sorted(seen))}." if seen else ""
    wanted = f"of {name!r}" if name else "yet"
    raise ValueError(f"No data card {wanted}.{known} Make one with `bloomery run data`.")


def find_dialogue_card(name: str) -> Path | None:
    """Return the folder of the newest card of a set of dialogues or comparisons, if there is one.

    `name` is that of the set, or that with its kind: `instructions/mine`.
    """
    for journal, _ in read_runs():
        for step in read_steps(journal):
            if step.component in _PREPARED and step.path.exists():
                card = read_dialogue_card(step.path)
                if any(name in (each, f"{card['kind']}/{each}") for each in card["sets"]):
                    return step.path
    return None


def card_before(documents: Documents) -> DataCard | None:
    """Return the newest card that was made of other documents, or None."""
    for _, folder in _cards():
        record = read_record(folder)
        read = record.inputs.get("documents")
        if read is None or read.fingerprint != documents.fingerprint:
            return DataCard.model_validate(record.artifact)
    return None


def documents_of_run(name: str) -> DocumentShards:
    """Return the distinct documents of a flow run, by its name or id.

    Raises:
        ValueError: there is no such run, or it has come to none.
    """
    folder, _ = find_run(name)
    for step in read_steps(folder):
        if step.component == "data.deduplicate":
            return DocumentShards.model_validate(read_record(step.path).artifact)
    raise ValueError(f"The run {name!r} has deduplicated no documents. Name a run of `data`.")


def _cards() -> Iterator[tuple[tuple[str, str], Path]]:
    """Yield name and id of each run that has a card, and the card's folder, the newest first."""
    for journal, run in read_runs():
        for step in read_steps(journal):
            if step.component == "data.card" and step.path.exists():
                yield (run.origin.run_name, run.origin.run_id), step.path
