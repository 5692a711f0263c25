"""What the playground can talk to: the registered models whose folders are on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from components.core.artifacts.base import Artifact
from components.core.record import RECORD, verify
from components.core.settings import settings
from dashboards.reading.scores import registered

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from components.lib.inference.conversation import Chosen, Conversation


class Playable(NamedTuple):
    """A registered model that can be loaded here, in one of its forms."""

    label: str
    """What it is called."""
    folder: Path
    """Its folder."""
    as_exported: bool
    """Whether its int8 export is meant."""


def playable(mlflow: "MlflowClient") -> list[Playable]:
    """Return every registered version that is here, the newest first, each form of it."""
    found: list[Playable] = []
    for row in registered(mlflow).to_dict("records"):
        folder = _folder(row["path"])
        if folder is None:
            continue
        label = f"{row['model']} v{row['version']}" + (
            f" ({row['aliases']})" if row["aliases"] else ""
        )
        if (folder / "onnx" / "model.onnx").exists():
            found.append(Playable(f"{label}, int8", folder, as_exported=True))
        if (folder / "config.json").exists():
            found.append(Playable(f"{label}, float32", folder, as_exported=False))
    return found


def _folder(path: str) -> Path | None:
    """Return the folder that a version's tag names, if it is below the artifact root and there."""
    root = settings().artifacts
    folder = (root / path).resolve()
    return folder if path and folder.is_relative_to(root) and folder.is_dir() else None


def load(model: Playable) -> "Conversation":
    """Load a model whose files are those that its record proves.

    Raises:
        ValueError: they are not, or there is no model in them.
    """
    from components.lib.inference.conversation import Conversation

    if (model.folder / RECORD).exists():
        verify(Artifact(path=model.folder))
    try:
        return Conversation(model.folder, settings().num_threads, model.as_exported)
    except Exception as error:  # each reader has errors of its own for a damaged file
        raise ValueError(f"{model.folder} holds no model that loads: {error}") from error


def probabilities(tokens: "list[Chosen]") -> pd.DataFrame:
    """Return a row for every token of an answer: it, its probability, and the likeliest ones."""
    rows = [
        {
            "token": _visible(token.text),
            "probability": token.probability,
            "likeliest": "   ".join(f"{_visible(t)} {p:.0%}" for t, p in token.likeliest),
        }
        for token in tokens
    ]
    return pd.DataFrame(rows, columns=["token", "probability", "likeliest"])


def _visible(text: str) -> str:
    """Return the text of a token with its spaces and line breaks made visible."""
    return text.replace(" ", "␣").replace("\n", "⏎")
