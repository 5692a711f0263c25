"""Register: a model that passed the gate -> a version in the MLflow registry, made the champion."""

import shutil
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Comparisons, DataCard, Dialogues
from components.core.artifacts.models import Checkpoint, CompressedModel, Release
from components.core.artifacts.reports import BaselineReport, ProbeReport, StageReport, Verdict
from components.core.component import Component
from components.core.settings import settings
from components.release.model_card import Facts, model_card
from components.release.registry import ALIAS, register
from components.release.usage import kind_of


class RegisterInputs(Frozen):
    """What `Register` releases."""

    verdict: Verdict
    """The gate's decision; it must have passed."""
    model: Checkpoint
    """The last model that transformers loads."""
    compressed: CompressedModel | None
    """Its export, if the recipe compresses."""
    baselines: BaselineReport
    """N-gram models on the probe's text."""
    ledger: tuple[StageReport, ...] = Field(min_length=1)
    """What the probe found after each stage; what the next candidate must beat is the last."""
    data: DataCard
    """What it was trained on."""
    sets: tuple[Dialogues | Comparisons, ...] = ()
    """The named sets that it was fine-tuned on and aligned by, as they were prepared."""
    champion: ProbeReport | None
    """The report that the candidate has beaten, if there was a champion."""


class Register(Component[RegisterInputs, Release]):
    """Assemble the released folder, register it in MLflow and move the alias `champion` to it.

    Writes the model in Hugging Face layout, its export under `onnx/` or `gguf/`, a model card
    (Mitchell et al. 2019) and the verdict: everything loads without code of ours.
    """

    version: ClassVar[str] = "2.1.0"

    model_name: str = Field(default="bloomery-tiny", pattern=r"^[A-Za-z0-9_.-]+$")
    """Registered model that gets a new version."""

    def run(self, inputs: RegisterInputs, out: Path) -> Release:
        """Write the folder, then register it.

        Raises:
            ValueError: the gate did not pass.
        """
        if not inputs.verdict.passed:
            raise ValueError(f"The gate did not pass: {'; '.join(inputs.verdict.failures)}.")
        ignored = shutil.ignore_patterns("artifact.json", "metrics.jsonl", "checkpoints", ".*")
        shutil.copytree(inputs.model.path, out, dirs_exist_ok=True, ignore=ignored)
        if (small := inputs.compressed) is not None:
            shutil.copytree(small.path, out / kind_of(small), dirs_exist_ok=True, ignore=ignored)
        facts = Facts(
            name=self.model_name,
            model=inputs.model,
            compressed=inputs.compressed,
            baselines=inputs.baselines,
            ledger=inputs.ledger,
            data=inputs.data,
            sets=inputs.sets,
        )
        (out / "README.md").write_text(model_card(facts), encoding="utf-8")
        shutil.copy(inputs.verdict.path / "verdict.json", out)
        registered = register(self.model_name, out, self._tags(inputs, out))
        return Release(
            path=out, name=registered.name, registered_version=registered.version, alias=ALIAS
        )

    def _tags(self, inputs: RegisterInputs, out: Path) -> dict[str, str]:
        def portable(path: Path) -> str:
            return path.relative_to(settings().artifacts).as_posix()

        return {
            "candidate": (inputs.compressed or inputs.model).fingerprint,
            "report": portable(inputs.ledger[-1].report.path),
            "opponent": portable(inputs.champion.path) if inputs.champion else "",
            "path": portable(out),
        }
