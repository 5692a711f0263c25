"""Register: a model that passed the gate -> a version in the MLflow registry, made the champion."""

import shutil
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.models import Checkpoint, CompressedModel, Release
from components.core.artifacts.reports import ProbeReport, Verdict
from components.core.component import Component
from components.core.settings import settings
from components.release.registry import ALIAS, register

_CARD = """---
library_name: transformers
pipeline_tag: text-generation
---

# {name}

Released by Bloomery. Load the float32 weights with transformers, or decode the int8 export under
`onnx/` with ONNX Runtime GenAI.

| on held-out data | float32 | int8 |
|---|---|---|
| bits per byte | {aligned.bits_per_byte:.4f} | {compressed.bits_per_byte:.4f} |
| accuracy on micro-tasks | {aligned.accuracy:.1%} | {compressed.accuracy:.1%} |

`verdict.json` has the thresholds that it passed.
"""


class RegisterInputs(Frozen):
    """What `Register` releases."""

    verdict: Verdict
    """The gate's decision; it must have passed."""
    model: Checkpoint
    """The aligned model."""
    compressed: CompressedModel
    """Its export."""
    aligned_report: ProbeReport
    """What the probe found of the model."""
    compressed_report: ProbeReport
    """What the probe found of the export: what the next candidate must beat."""
    champion: ProbeReport | None
    """The report that the candidate has beaten, if there was a champion."""


class Register(Component[RegisterInputs, Release]):
    """Assemble the released folder, register it in MLflow and move the alias `champion` to it.

    Writes the model in Hugging Face layout, its int8 export under `onnx/`, a model card and the
    verdict: everything loads without code of ours.
    """

    version: ClassVar[str] = "1.0.0"

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
        shutil.copytree(inputs.compressed.path, out / "onnx", dirs_exist_ok=True, ignore=ignored)
        card = _CARD.format(
            name=self.model_name,
            aligned=inputs.aligned_report,
            compressed=inputs.compressed_report,
        )
        (out / "README.md").write_text(card, encoding="utf-8")
        shutil.copy(inputs.verdict.path / "verdict.json", out)
        registered = register(self.model_name, out, self._tags(inputs, out))
        return Release(
            path=out, name=registered.name, registered_version=registered.version, alias=ALIAS
        )

    def _tags(self, inputs: RegisterInputs, out: Path) -> dict[str, str]:
        def portable(path: Path) -> str:
            return path.relative_to(settings().artifacts).as_posix()

        return {
            "candidate": inputs.compressed.fingerprint,
            "report": portable(inputs.compressed_report.path),
            "opponent": portable(inputs.champion.path) if inputs.champion else "",
            "path": portable(out),
        }
