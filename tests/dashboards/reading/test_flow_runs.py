"""Flow runs and their steps, out of a real Prefect server."""

from collections.abc import Iterator
from itertools import pairwise

import pandas as pd
import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed
from prefect.testing.utilities import prefect_test_harness
from pydantic import BaseModel

from dashboards.reading import flow_runs
from tests.dashboards import flow_runs as runs_of_prefect

pytestmark = pytest.mark.slow


class Thing(BaseModel):
    """What a step makes."""

    name: str


@task(cache_policy=NO_CACHE, persist_result=False)
def make(name: str, *inputs: Thing):
    if name == "data.clean":
        return Completed(name="Cached", message="made before", data=Thing(name=name))
    return Thing(name=name)


def step(name: str, *inputs: Thing) -> Thing:
    return make.with_options(name=name)(name, *inputs, return_state=True).result()


@flow
def data() -> Thing:
    return step("data.clean", step("data.take_documents"))


@flow
def evals(source: Thing, model: Thing) -> Thing:
    return step("evals.probe")


@flow
def train(source: Thing) -> Thing:
    return step("pretrain.train")


@flow
def release(model: Thing, report: Thing) -> Thing:
    return step("release.gate")


@flow
def whole() -> Thing:
    source = data()
    model = train(source)
    return release(model, evals(source, model))


@flow
def broken() -> None:
    raise ValueError("a planted failure")


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        whole()
        broken(return_state=True)
        runs_of_prefect.planned("tomorrow", hours=24)
        runs_of_prefect.planned("tonight", hours=3)
        yield


@pytest.fixture(autouse=True)
def address(server, monkeypatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", PREFECT_API_URL.value())


@pytest.fixture
def steps() -> pd.DataFrame:
    runs = flow_runs.recent()
    return flow_runs.steps(runs[runs["flow"] == "whole"].iloc[0]["id"])


def test_only_runs_that_no_other_run_started_are_listed_the_newest_first():
    runs = flow_runs.recent()
    assert list(runs["flow"]) == ["broken", "whole"]
    assert list(runs["state"]) == ["Failed", "Completed"]
    assert runs["link"].iloc[0].endswith(f"/runs/flow-run/{runs['id'].iloc[0]}")
    assert len(flow_runs.recent(limit=1)) == 1


def test_runs_that_have_not_begun_are_planned_the_next_one_first():
    planned = flow_runs.planned()
    assert list(planned["run"]) == ["tonight", "tomorrow"]
    assert list(planned["state"]) == ["Scheduled", "Scheduled"]
    assert planned["due"].is_monotonic_increasing
    assert list(flow_runs.planned(limit=1)["run"]) == ["tonight"]
    assert flow_runs.number_planned() == 2


def test_a_run_that_waits_to_be_tried_again_has_begun():
    runs_of_prefect.retried("second-try")
    try:
        assert flow_runs.recent()["run"].iloc[0] == "second-try"
        assert flow_runs.recent()["state"].iloc[0] == "AwaitingRetry"
        assert flow_runs.number_planned() == 2
    finally:
        runs_of_prefect.forget("second-try")


def test_the_steps_of_a_run_are_those_of_its_flows_too_in_order(steps):
    names = ["data.take_documents", "data.clean", "pretrain.train", "evals.probe", "release.gate"]
    assert list(steps["step"]) == names
    assert list(steps["state"]) == ["Completed", "Cached", "Completed", "Completed", "Completed"]
    assert list(steps["flow"]) == ["data", "data", "train", "evals", "release"]


def test_a_step_reads_what_was_made_beside_it_or_given_to_its_flow(steps):
    name = dict(zip(steps["id"], steps["step"], strict=True))
    reads = {row["step"]: {name[i] for i in row["reads"]} for row in steps.to_dict("records")}
    assert reads == {
        "data.take_documents": set(),
        "data.clean": {"data.take_documents"},
        "pretrain.train": {"data.clean"},
        "evals.probe": {"data.clean", "pretrain.train"},
        "release.gate": {"pretrain.train", "evals.probe"},
    }


def test_the_graph_shows_each_step_once_and_no_edge_that_a_longer_way_says(steps):
    dot = flow_runs.lineage(steps)
    ids = dict(zip(steps["step"], steps["id"], strict=True))
    edges = {line for line in dot.splitlines() if " -> " in line}
    chain = ["data.take_documents", "data.clean", "pretrain.train", "evals.probe", "release.gate"]
    wanted = pairwise(chain)
    assert edges == {f'"{ids[one]}" -> "{ids[other]}"' for one, other in wanted}
    assert '"data.clean\\ncached"' in dot


def test_a_name_cannot_leave_its_quotes_in_the_graph(steps):
    steps = steps.assign(step='a"]; evil [label="')
    assert 'label="a\\"]; evil [label=\\"' in flow_runs.lineage(steps)


def test_a_run_that_took_no_step_has_none_but_columns():
    runs = flow_runs.recent()
    found = flow_runs.steps(runs[runs["flow"] == "broken"].iloc[0]["id"])
    assert found.empty
    assert flow_runs.lineage(found).startswith("digraph")
