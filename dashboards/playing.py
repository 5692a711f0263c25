"""What the playground can play with: every model on this machine, by its run and its stage."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from components.core.artifacts.base import Artifact
from components.core.journal import Run, read_runs, read_steps
from components.core.record import RECORD, verify
from components.core.settings import settings
from dashboards.reading.scores import registered

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from components.lib.inference.conversation import Chosen, Conversation

RELEASED = "Released models"
"""What stands in the place of a run for the versions in the registry."""


class Playable(NamedTuple):
    """A model that can be loaded here, in one of its forms."""

    run: str
    """The run that made it, or was served it."""
    stage: str
    """The component that made it, or the registered version, and its form."""
    folder: Path
    """Its folder."""
    as_exported: bool
    """Whether its int8 export is meant."""

    @property
    def label(self) -> str:
        """What it is called."""
        return f"{self.run}: {self.stage}"

    @property
    def is_base(self) -> bool:
        """Whether it is a base model, which goes on with text and was never taught to answer."""
        return self.stage.startswith(("pretrain.", "continued."))


def released(mlflow: "MlflowClient") -> list[Playable]:
    """Return every registered version that is here, the newest first, each form of it."""
    found: list[Playable] = []
    for row in registered(mlflow).to_dict("records"):
        if (folder := _folder(row["path"])) is not None:
            label = f"{row['model']} v{row['version']}"
            aliases = f" ({row['aliases']})" if row["aliases"] else ""
            found += _forms(RELEASED, label + aliases, folder)
    return found


def of_runs() -> list[Playable]:
    """Return the models of every run of this machine, the newest run first, by their stages."""
    runs = list(read_runs())
    names = [run.origin.run_name for _, run in runs]
    return [
        model
        for folder, run in runs
        for step in read_steps(folder)
        for model in _forms(_name(run, names), step.component, step.path)
    ]


def _name(run: Run, names: list[str]) -> str:
    """Return what a run is called, with its id where others are called so too."""
    name = run.origin.run_name
    return name if names.count(name) == 1 else f"{name} {run.origin.run_id[:8]}"


def _forms(run: str, stage: str, folder: Path) -> list[Playable]:
    """Return the forms of the model in a folder: none if there is none that goes on with text."""
    is_exported = any((folder / name).exists() for name in ("onnx/model.onnx", "model.onnx"))
    is_gguf = any((folder / name).exists() for name in ("gguf/model.gguf", "model.gguf"))
    is_whole = any(folder.glob("*.safetensors")) and _goes_on(folder / "config.json")
    exported = [Playable(run, f"{stage}, int8", folder, as_exported=True)]
    whole = [Playable(run, f"{stage}, float32", folder, as_exported=False)]
    gguf = [Playable(run, f"{stage}, gguf", folder, as_exported=True)]
    return exported * is_exported + gguf * is_gguf + whole * is_whole


def _goes_on(config: Path) -> bool:
    """Return whether a model continues text; an encoder fills in what is masked."""
    if not config.exists():
        return False
    try:
        classes = json.loads(config.read_text("utf-8")).get("architectures") or []
    except ValueError:
        return True  # it is damaged: say so where it is opened, do not hide it
    return not any(name.endswith("ForMaskedLM") for name in classes)


def _folder(path: str) -> Path | None:
    """Return the folder that a version's tag names, if it is below the artifact root and there."""
    root = settings().artifacts
    folder = (root / path).resolve()
    return folder if path and folder.is_relative_to(root) and folder.is_dir() else None


def load(model: Playable) -> "Conversation":
    """Load a model whose files are those that its record proves; an export as it is served.

    Raises:
        ValueError: they are not, or there is no model in them.
    """
    from components.lib.inference.batched_conversation import BatchedConversation
    from components.lib.inference.conversation import Conversation

    if (model.folder / RECORD).exists():
        verify(Artifact(path=model.folder))
    try:
        if model.as_exported:
            return BatchedConversation(model.folder, settings().num_threads)
        return Conversation(model.folder, settings().num_threads, as_exported=False)
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
