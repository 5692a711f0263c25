"""`bloomery runs`, `models`, `logs` and `release list`: with nothing, with some, and as JSON."""

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from prefect.testing.utilities import prefect_test_harness
from typer.testing import CliRunner

from components.core.artifacts.base import Artifact
from components.core.artifacts.data import DataRevision
from components.core.component import Component
from components.core.files import size_of
from components.core.journal import (
    Origin,
    RunProcess,
    Step,
    begin_run,
    end_run,
    find_run,
    read_steps,
    state_of,
    write_step,
)
from components.core.processes.preemption import Preempted
from components.core.settings import settings
from components.release.registry import register, roll_back
from flows.command.app import app
from flows.command.history import run_called, runs
from flows.command.logs import followed
from flows.step import preemptible, step

ROOT = Path(__file__).parents[3]


class Written(Artifact):
    """A file."""


class Write(Component[DataRevision, Written]):
    """Write a file of a thousand letters."""

    version: ClassVar[str] = "1.0.0"
    text: str = "a"
    """What is written."""

    def run(self, inputs: DataRevision, out: Path) -> Written:
        """Write it."""
        (out / "file").write_text(self.text * 1000)
        return Written(path=out)


def bloomery(*words: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def origin(name: str, recipe: str = "smoke") -> Origin:
    return Origin(run_id=f"id-{name}", run_name=name, flow="pipeline", recipe=recipe)


def took(who: Origin, made: Artifact, component: str = "x", cached: bool = False) -> None:
    known = {"component": component, "version": "1.0.0", "fingerprint": made.fingerprint}
    write_step(who, Step(**known, cached=cached, seconds=1.0, path=made.path))


def folder_of(name: str) -> Written:
    path = settings().artifacts / "x" / "1.0.0" / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "file").write_text("a" * 1000)
    return Written(path=path)


@pytest.fixture
def own_mlflow(monkeypatch):
    monkeypatch.setenv("BLOOMERY_TRACKING_URI", "")
    settings.cache_clear()


def test_with_nothing_there_each_command_says_how_to_begin(own_mlflow, home):
    assert bloomery("runs") == "No run yet. Start one with `bloomery run`.\n"
    for words in (("models",), ("release", "list")):
        assert bloomery(*words) == "No model is registered yet: `bloomery run` releases one.\n"
        assert json.loads(bloomery(*words, "--json")) == []
    assert json.loads(bloomery("runs", "--json")) == []
    assert not (home / "mlflow" / "mlflow.db").exists(), "a question makes no database"
    with pytest.raises(ValueError, match=r"No run in .*\. Start one with `bloomery run`"):
        bloomery("logs")
    with pytest.raises(ValueError, match=r"No registered model 'toy'\. Registered here: nothing"):
        bloomery("models", "toy")


def test_runs_are_listed_the_newest_first_with_what_each_made():
    made, other = folder_of("made"), folder_of("other")
    begin_run(origin("first"))
    took(origin("first"), made)
    end_run("id-first", "completed")
    begin_run(origin("second", "tiny, align=null"))
    took(origin("second", "tiny, align=null"), made, cached=True)
    took(origin("second", "tiny, align=null"), other)
    end_run("id-second", "rejected", "Not released. Accuracy fell.")
    second, first = json.loads(bloomery("runs", "--json"))
    assert (first["name"], first["state"], first["recipe"]) == ("first", "completed", "smoke")
    assert (second["state"], second["message"]) == ("rejected", "Not released. Accuracy fell.")
    assert (second["num_made"], second["num_cached"]) == (1, 1)
    assert first["bytes_made"] == second["bytes_made"] == size_of(made.path) == 1000
    shown = bloomery("runs")
    assert shown.index("second") < shown.index("first")
    assert "tiny, align=null" in shown
    assert "1 kB" in shown
    assert "1 older: `bloomery runs --last 0`." in bloomery("runs", "--last", "1")
    assert "first" not in bloomery("runs", "--last", "1")


def test_a_run_says_whether_somebody_is_at_it_and_one_that_was_killed_is_found_out():
    begin_run(origin("at-work"))  # this process
    code = (
        "from components.core.journal import *; "
        "begin_run(Origin(run_id='id-killed', run_name='killed', flow='data'))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    begin_run(origin("waits"))
    end_run("id-waits", "waiting")
    took(origin("of-an-earlier-build"), folder_of("made"))
    assert {row.name: row.state for row in runs()} == {
        "at-work": "running",
        "killed": "crashed",
        "waits": "waiting",
        "of-an-earlier-build": "ended",
    }
    assert RunProcess.of_this_process().is_here()


def test_a_run_that_goes_on_keeps_its_beginning():
    begin_run(origin("first"))
    began = state_of("id-first").began
    end_run("id-first", "preempted", "Preempted after step 3.")
    begin_run(origin("first"))
    state = state_of("id-first")
    assert (state.state, state.began, state.message) == ("running", began, "")
    assert state.changed > began


def test_models_and_releases_name_version_champion_scores_run_and_who_rolled_back(own_mlflow):
    for name in ("first", "second"):
        (folder := folder_of(name)).path.joinpath("weights").write_text(name)
        register("toy", folder.path, {"path": f"x/1.0.0/{name}", "report": ""})
        took(origin(name), folder, "release.register")
        took(origin(f"cached-{name}"), folder, "release.register", cached=True)
    roll_back("toy", None, "ada", "answers in French")
    newest, oldest = json.loads(bloomery("models", "--json"))
    assert [row["version"] for row in (newest, oldest)] == [2, 1]
    assert [row["alias"] for row in (newest, oldest)] == ["", "champion"]
    assert (oldest["run"], oldest["recipe"]) == ("first", "smoke")
    assert newest["num_bytes"] == 1006
    assert newest["bits_per_byte"] is None, "its report is gone"
    shown = bloomery("models", "toy")
    assert "champion" in shown
    [last, _] = json.loads(bloomery("release", "list", "--json"))
    assert (last["version"], last["rolled_back_by"]) == (2, "ada")
    assert "rolled back by ada: answers in French" in bloomery("release", "list", "toy")
    with pytest.raises(ValueError, match=r"No registered model 'weasel'\. Registered here: toy"):
        bloomery("release", "list", "weasel")


def test_what_a_run_printed_is_its_log_where_prefect_has_none():
    begin_run(origin("first"))
    (settings().runs / "id-first" / "output.log").write_text("line one\nline two\n")
    shown = bloomery("logs", "first")
    assert "line one\nline two\n" in shown
    assert "output.log" in shown
    lines = json.loads(CliRunner().invoke(app, ["logs", "first", "--json"]).stdout)
    assert [line["message"] for line in lines] == ["line one", "line two"]


def test_a_log_is_followed_until_its_run_ends():
    begin_run(origin("first"))
    log = settings().runs / "id-first" / "output.log"
    log.write_text("line one\n")
    heard = list[str]()
    for line in followed("id-first", lambda: run_called("id-first").state == "running"):
        heard.append(line.message)
        if line.message == "line one":
            log.write_text("line one\nline two\nline two\n")
        elif heard.count("line two") == 2:
            end_run("id-first", "completed")
    assert heard == ["line one", "line two", "line two"]
    assert "line two\nfirst: completed\n" in bloomery("logs", "first", "--follow")
    with pytest.raises(ValueError, match="--follow prints lines as they come"):
        bloomery("logs", "first", "--follow", "--json")


def test_a_run_from_cache_without_a_log_says_why():
    begin_run(origin("first"))
    took(origin("first"), folder_of("made"), cached=True)
    assert "Every step was there before" in bloomery("logs", "first")
    with pytest.raises(ValueError, match=r"No run 'weasel' in .*\. The last ones: first"):
        bloomery("logs", "weasel")


@pytest.fixture(scope="module")
def prefect():
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.mark.slow
def test_a_flow_notes_how_it_stands_at_every_end(prefect):
    inputs = DataRevision(revision="1.dir")

    @flow(name="ends")
    @preemptible
    def ends(recipe: str, how: str) -> Written | State:
        if how == "failed":
            raise ValueError("the reason")
        if how == "preempted":
            raise Preempted(3)
        if how == "rejected":
            return Failed(name="Rejected", message="Not released.")
        assert runs()[0].state == "running"
        return step(Write(text=how), inputs)

    said = {
        "completed": "",
        "failed": "ValueError: the reason",
        "preempted": str(Preempted(3)),
        "rejected": "Not released.",
    }
    for how, message in said.items():
        state = ends("smoke", how, return_state=True)
        found = state_of(str(state.state_details.flow_run_id))
        assert (found.state, found.message) == (how, message)
        assert (found.origin.flow, found.origin.recipe) == ("ends", "smoke")
    completed = next(row for row in runs() if row.state == "completed")
    folder, run = find_run(completed.id)
    assert run.origin == state_of(completed.id).origin
    assert [each.component for each in read_steps(folder)] == [Write().name]
