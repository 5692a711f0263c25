"""Served: a run of which every step was made before needs no server, and any other begins none."""

import shutil
from pathlib import Path
from typing import ClassVar

import pytest

from components.core.artifacts.base import Artifact
from components.core.artifacts.data import DataRevision
from components.core.component import Component
from components.core.execute import execute
from components.core.journal import find_run, read_runs, read_steps, state_of
from flows.served import is_serving, serve
from flows.step import step, subflow


class Written(Artifact):
    """A file."""


class Write(Component[DataRevision, Written]):
    """Write a file."""

    version: ClassVar[str] = "1.0.0"

    text: str = "a"
    """What is written."""

    def run(self, inputs: DataRevision, out: Path) -> Written:
        """Write it."""
        (out / "file").write_text(self.text)
        return Written(path=out)


INPUTS = DataRevision(revision="1.dir")


def _both() -> str:
    first = subflow(lambda: step(Write(text="a"), INPUTS), "first")()
    second = step(Write(text="b"), INPUTS)
    return (first.path / "file").read_text() + (second.path / "file").read_text()


def test_what_was_made_is_served_and_the_journal_has_a_run_of_it() -> None:
    execute(Write(text="a"), INPUTS)
    execute(Write(text="b"), INPUTS)
    served = serve("pipeline", "smoke", _both)
    assert served is not None
    assert served[0] == "ab"
    folder, run = find_run()
    assert run.origin.flow == "pipeline"
    steps = read_steps(folder)
    assert [each.component for each in steps] == served[1]
    assert all(each.cached for each in steps)


def test_a_step_that_is_missing_ends_it_and_leaves_no_trace() -> None:
    execute(Write(text="a"), INPUTS)
    assert serve("pipeline", "smoke", _both) is None
    assert list(read_runs()) == []
    assert not is_serving()


def test_an_error_is_no_missing_step() -> None:
    def fail() -> None:
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        serve("pipeline", "smoke", fail)
    assert not is_serving()


def test_the_run_of_it_has_its_own_id_its_recipe_and_its_end() -> None:
    execute(Write(text="a"), INPUTS)
    execute(Write(text="b"), INPUTS)
    first = serve("pipeline", "smoke", _both, ["pretrain.depth=3"])
    second = serve("pipeline", "tiny", _both)
    assert first is not None
    assert second is not None
    folder, run = find_run(first.run_id)
    assert folder.name == first.run_id != second.run_id
    assert run.origin.run_name.startswith("smoke-")
    assert run.origin.recipe == "smoke, pretrain.depth=3"
    state = state_of(first.run_id)
    assert state is not None
    assert (state.state, state.origin) == ("completed", run.origin)


@pytest.mark.parametrize("how", ["flipped", "truncated", "deleted"])
def test_what_is_damaged_is_refused_by_name_and_no_run_of_it_is_noted(how: str) -> None:
    execute(Write(text="a"), INPUTS)
    file = execute(Write(text="b"), INPUTS).path / "file"
    if how == "deleted":
        file.unlink()
    else:
        file.write_text("c" if how == "flipped" else "")
    with pytest.raises(ValueError, match=rf"{file} is .* Remove {file.parent} to make it again"):
        serve("pipeline", "smoke", _both)
    assert list(read_runs()) == []
    assert not is_serving()
    shutil.rmtree(file.parent)
    assert serve("pipeline", "smoke", _both) is None, "it is to be made again"
