"""The decoder that answers, and its int8 export, for all tests of this folder."""

import shutil
from pathlib import Path

import pytest

from components.compress.export import export_int8
from components.core.artifacts.models import Checkpoint


@pytest.fixture(scope="session")
def both_forms(instruct: Checkpoint, line: Path) -> Path:
    """The folder of a release: a model in Hugging Face layout, its export under `onnx/`."""
    pytest.importorskip("onnxruntime_genai")
    folder = line / "both_forms"
    ignored = shutil.ignore_patterns("checkpoints", "artifact.json")
    shutil.copytree(instruct.path, folder, ignore=ignored)
    export_int8(folder, folder / "onnx")
    return folder
