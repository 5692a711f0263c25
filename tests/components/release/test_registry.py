"""The registry: what is registered again keeps its version, and its files are the sound ones."""

from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest

from components.core.tracking.client import client
from components.release.registry import register

pytest.importorskip("mlflow")


def test_a_model_that_was_damaged_and_made_again_is_replaced_in_mlflow_too(tmp_path):
    folder, tags = tmp_path / "model", {"path": "again/1"}
    folder.mkdir()
    weights = folder / "weights"
    weights.write_text("sound")
    first = register("again", folder, tags)
    source = client().get_model_version("again", str(first.version)).source
    stored = Path(url2pathname(urlparse(source).path)) / "weights"
    weights.write_text("harmed")  # the same file by two names
    assert stored.read_text() == "harmed"
    weights.unlink()
    weights.write_text("sound")
    assert register("again", folder, tags).version == first.version
    assert stored.read_text() == "sound"
