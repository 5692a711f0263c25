"""Whom a candidate must beat: the champion, or the one that the champion once beat."""

from components.core.artifacts.base import Artifact
from components.core.artifacts.reports import ProbeReport
from components.core.record import RECORD, read_record
from components.core.settings import settings
from components.release.quick_champion import quick_champion
from components.release.registry import ALIAS


def opponent(name: str, candidate: Artifact) -> ProbeReport | None:
    """Return the report of the champion that `candidate` must beat, or None if there is none.

    A version that was registered by hand has none.

    A candidate that is the champion itself is held against the one it once beat, so that running
    the same recipe again finds the same verdict.
    """
    current = quick_champion(name)
    if current is None:
        return None
    path = current.tags.get("opponent" if is_champion(name, candidate) else "report")
    if not path:  # the first of its name, or one that somebody registered by hand
        return None
    folder = settings().artifacts / path
    if not (folder / RECORD).exists():
        raise ValueError(
            f"The report of {name} version {current.version} is gone from {folder}. Restore it, or "
            f"remove the alias {ALIAS!r} in MLflow to release without a comparison."
        )
    return ProbeReport.model_validate(read_record(folder).artifact)


def is_champion(name: str, candidate: Artifact) -> bool:
    """Return whether `candidate` is the champion already."""
    current = quick_champion(name)
    return current is not None and current.tags.get("candidate") == candidate.fingerprint
