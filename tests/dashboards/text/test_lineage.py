"""The chain of records, which ends where the data or a model from elsewhere came in."""

from io import StringIO
from pathlib import Path
from typing import ClassVar

import pytest
from rich.console import Console

from components.core.artifacts.base import Artifact
from components.core.component import Component
from components.core.execute import execute
from components.core.record import RECORD
from dashboards.text.lineage import chain, markdown, tree


class Copied(Component[Artifact, Artifact]):
    """Make a file beside what it reads."""

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: Artifact, out: Path) -> Artifact:
        """Write it."""
        (out / "file").write_text("a")
        return Artifact(path=out)


@pytest.fixture
def made(tmp_path: Path, home: Path) -> Artifact:
    """What was made of what was made of a folder that somebody named."""
    folder = tmp_path / "mine"
    folder.mkdir()
    base = Artifact(path=folder, fingerprint="0123456789abcdef")
    return execute(Copied(), execute(Copied(), base))


def shown(folder: Path) -> str:
    console = Console(width=120, record=True, file=StringIO())
    console.print(tree(folder))
    return console.export_text()


def test_it_ends_at_a_model_that_was_named_by_its_path(made: Artifact, tmp_path: Path) -> None:
    (before,) = chain(made.path)["inputs"].values()
    assert before["component"] == Copied().name
    (base,) = before["inputs"].values()
    assert base == {"path": str(tmp_path / "mine"), "fingerprint": "0123456789abcdef"}
    assert shown(made.path).count(Copied().name) == 2
    assert markdown(made.path, str).count(Copied().name) == 2


def test_a_step_without_its_record_is_named(made: Artifact) -> None:
    (before,) = chain(made.path)["inputs"].values()
    folder = made.path.parent / before["fingerprint"]
    (folder / RECORD).unlink()
    with pytest.raises(ValueError, match=f"{folder.name} has no artifact.json"):
        tree(made.path)
