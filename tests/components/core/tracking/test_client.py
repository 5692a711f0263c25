"""MLflow, for real, in SQLite: what a step leaves there, and what a dead server costs."""

import json
import time
from pathlib import Path
from typing import ClassVar

import pytest

from components.core.artifacts.base import Artifact, Frozen
from components.core.artifacts.data import DataRevision
from components.core.component import Component
from components.core.execute import address, execute
from components.core.journal import Origin
from components.core.settings import settings
from components.core.tracking import spool
from components.core.tracking.client import client, experiment_id, flatten
from components.core.tracking.views import pretrainings_url

pytest.importorskip("mlflow")


class Measured(Artifact):
    score: float
    by_task: dict[str, float]
    title: str


class Rates(Frozen):
    learning_rate: float = 0.5
    names: tuple[str, ...] = ("a", "b")


class Work(Component[DataRevision, Measured]):
    version: ClassVar[str] = "1.2.3"
    rates: Rates = Rates()
    num_points: int = 3
    fails: bool = False

    def run(self, inputs: DataRevision, out: Path) -> Measured:
        spool.rewind(out, 0)
        for step in range(1, self.num_points + 1):
            spool.append(out, step, {"loss": 1 / step, "rate": 0.1})
        if self.fails:
            raise RuntimeError("broken")
        return Measured(path=out, score=0.75, by_task={"sort": 1.0, "copy": 0.5}, title="x")


class Resumed(Component[DataRevision, Measured]):
    """Breaks after step 4, and goes on from a checkpoint of step 2."""

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataRevision, out: Path) -> Measured:
        is_second = (out / "attempted").exists()
        (out / "attempted").touch()
        spool.rewind(out, 2 if is_second else 0)
        for step in range(3 if is_second else 1, 5):
            spool.append(out, step, {"loss": 1.0 / 3 if is_second else 2.0})
        if not is_second:
            raise RuntimeError("broken")
        spool.append(out, 5, {"loss": 0.25})
        return Measured(path=out, score=0.0, by_task={}, title="")


def _runs(run_id: str) -> tuple[list, list]:
    """Return the MLflow runs of a flow run: those of the flow, those of its components."""
    mlflow = client()
    experiment = mlflow.get_experiment_by_name(settings().experiment).experiment_id
    found = mlflow.search_runs([experiment], f"tags.flow_run_id = '{run_id}'")
    levels = [run.data.tags["level"] for run in found]
    return (
        [run for run, level in zip(found, levels, strict=True) if level == "flow"],
        [run for run, level in zip(found, levels, strict=True) if level == "component"],
    )


def _history(run, name: str) -> list[tuple[int, float]]:
    points = client().get_metric_history(run.info.run_id, name)
    return sorted((point.step, point.value) for point in points)


def test_runs_are_nested_and_tags_params_and_metrics_all_arrive():
    origin = Origin(run_id="flow-1", run_name="brave-otter", flow="pipeline")
    execute(Work(), DataRevision(revision="1.dir"), origin)
    execute(Work(num_points=1), DataRevision(revision="1.dir"), origin)
    parents, children = _runs("flow-1")
    assert [parent.info.run_name for parent in parents] == ["brave-otter"]
    assert len(children) == 2
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}

    fingerprint = Work().fingerprint(DataRevision(revision="1.dir"))
    (run,) = [child for child in children if child.data.tags["fingerprint"] == fingerprint]
    assert run.info.run_name == f"brave-otter {Work().name}"
    assert run.info.status == "FINISHED"
    expected = {"component": Work().name, "stage": Work().stage, "version": "1.2.3"}
    assert expected.items() <= run.data.tags.items()
    assert run.data.params == {
        "rates.learning_rate": "0.5",
        "rates.names": "['a', 'b']",
        "num_points": "3",
        "fails": "False",
    }
    assert _history(run, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert run.data.metrics["made.score"] == 0.75
    assert run.data.metrics["made.by_task.sort"] == 1.0
    assert run.data.metrics["seconds"] >= 0
    assert "made.title" not in run.data.metrics
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("data", "1.dir")
    assert dataset.tags[0].value == Work().stage


class Odd(Component[DataRevision, Measured]):
    """Logs what is no number, and has a long config."""

    version: ClassVar[str] = "1.0.0"
    long: str = "x" * 7000

    def run(self, inputs: DataRevision, out: Path) -> Measured:
        spool.append(out, 1, {"loss": 0.5, "perplexity": float("inf")})
        spool.append(out, 2, {"loss": float("nan"), "perplexity": 3.0})
        return Measured(path=out, score=0.5, by_task={"sort": 1.0}, title="")


def test_what_is_not_finite_is_a_tag_and_never_a_number(caplog):
    execute(Odd(), DataRevision(revision="1.dir"), Origin(run_id="odd", run_name="o", flow="f"))
    _, (run,) = _runs("odd")
    assert run.info.status == "FINISHED"
    assert _history(run, "loss") == [(1, 0.5)]
    assert _history(run, "perplexity") == [(2, 3.0)]
    assert run.data.metrics["made.by_task.sort"] == 1.0
    assert run.data.tags["not_finite.loss"] == "nan at step 2"
    assert run.data.tags["not_finite.perplexity"] == "inf at step 1"
    assert "loss is nan at step 2" in caplog.text


def test_a_param_that_mlflow_would_cut_says_where_the_whole_is():
    execute(Odd(), DataRevision(revision="2.dir"), Origin(run_id="long", run_name="o", flow="f"))
    _, (run,) = _runs("long")
    assert len(run.data.params["long"]) == 6000
    assert run.data.params["long"].endswith("(7,000 characters: the whole is in artifact.json)")


def test_an_experiment_has_the_view_of_pretrainings_and_keeps_what_people_made_of_it():
    mlflow = client()
    key = "mlflow.sharedViewState.pretrainings"
    identity = experiment_id(mlflow)
    view = json.loads(mlflow.get_experiment(identity).tags[key])
    state = json.loads(view["state"])
    assert state["orderByKey"] in state["selectedColumns"], "the table shows what it sorts by"
    mlflow.set_experiment_tag(identity, key, "mine")
    assert experiment_id(mlflow) == identity
    assert mlflow.get_experiment(identity).tags[key] == "mine"
    assert "workflowType=machine_learning" in pretrainings_url(identity)


class Reported(Component[DataRevision, Measured]):
    """Takes a second, and leaves a page for people."""

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataRevision, out: Path) -> Measured:
        (out / "report").mkdir()
        (out / "report" / "card.html").write_text("<p>small</p>")
        (out / "weights.bin").write_bytes(b"large")
        time.sleep(1.5)
        return Measured(path=out, score=0.0, by_task={}, title="")


def test_mlflow_has_the_pages_of_a_step_and_the_use_of_the_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    origin = Origin(run_id="reported", run_name="otter", flow="pipeline")
    execute(Reported(), DataRevision(revision="1.dir"), origin)
    _, (run,) = _runs("reported")
    found = {file.path for file in client().list_artifacts(run.info.run_id)}
    assert found == {"artifact.json", "report"}
    page = client().download_artifacts(run.info.run_id, "report/card.html", str(tmp_path))
    assert Path(page).read_text() == "<p>small</p>"
    assert run.data.metrics["system/cpu_utilization_percentage"] >= 0
    assert run.data.metrics["system/system_memory_usage_percentage"] > 0


def test_a_step_that_was_made_before_opens_no_run():
    for number in (1, 2):
        origin = Origin(run_id=f"cached-{number}", run_name="otter", flow="pipeline")
        execute(Work(num_points=2), DataRevision(revision="2.dir"), origin)
    assert len(_runs("cached-1")[1]) == 1
    assert _runs("cached-2") == ([], [])


def test_a_failed_step_shows_as_failed_with_the_metrics_it_had():
    origin = Origin(run_id="failed", run_name="otter", flow="pipeline")
    with pytest.raises(RuntimeError, match="broken"):
        execute(Work(fails=True), DataRevision(revision="1.dir"), origin)
    ((run,), parents) = (_runs("failed")[1], _runs("failed")[0])
    assert len(parents) == 1
    assert run.info.status == "FAILED"
    assert len(_history(run, "loss")) == 3


def test_a_resumed_step_goes_on_in_its_run_and_loses_no_metric():
    origin = Origin(run_id="resumed", run_name="otter", flow="pipeline")
    with pytest.raises(RuntimeError, match="broken"):
        execute(Resumed(), DataRevision(revision="1.dir"), origin)
    execute(Resumed(), DataRevision(revision="1.dir"), origin)
    (run,) = _runs("resumed")[1]
    assert run.info.status == "FINISHED"
    assert set(_history(run, "loss")) == {
        *[(step, 2.0) for step in (1, 2, 3, 4)],  # MLflow forgets nothing
        *[(step, 1 / 3) for step in (3, 4)],
        (5, 0.25),
    }


@pytest.mark.parametrize("fails", [False, True])
def test_a_dead_tracking_server_costs_no_failure_and_little_time(monkeypatch, caplog, fails):
    monkeypatch.setenv("BLOOMERY_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings.cache_clear()
    start = time.monotonic()
    inputs = DataRevision(revision="3.dir")
    if fails:
        with pytest.raises(RuntimeError, match="broken"):
            execute(Work(fails=True), inputs)
    else:
        assert execute(Work(), inputs).score == 0.75
    assert time.monotonic() - start < 30
    assert caplog.text.count("MLflow does not answer") == 1
    points = address(Work(fails=fails), inputs) / spool.SPOOL
    assert len(points.read_text().splitlines()) == 3


def test_nested_values_become_dotted_paths():
    value = {"a": {"b": 1, "c": {"d": [1, {"x": 2}]}}, "e": None}
    assert flatten(value) == {"a.b": 1, "a.c.d": [1, {"x": 2}], "e": None}
