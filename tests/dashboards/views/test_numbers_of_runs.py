"""Each page with 0, 1, 4 and 40 runs, some planned, failed or all cached."""

import json
from collections.abc import Iterator

import pytest
import streamlit as st
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness
from streamlit.testing.v1 import AppTest

from components.core.journal import Origin
from dashboards.views import compare
from tests.dashboards import flow_runs, store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(machine) -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(autouse=True)
def prefect(server, mlflow, monkeypatch):
    """A Prefect that knows no run, beside a MLflow that knows none."""
    monkeypatch.setenv("PREFECT_API_URL", PREFECT_API_URL.value())
    flow_runs.forget()
    st.cache_data.clear()


def page(name: str) -> AppTest:
    script = f"from dashboards.views.{name} import draw\ndraw()"
    shown = AppTest.from_string(script).run(timeout=120)
    assert not shown.exception, [error.stack_trace for error in shown.exception]
    assert not shown.error
    return shown


def values(shown: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in shown.metric}


def said(shown: AppTest) -> str:
    kinds = (shown.info, shown.caption, shown.success, shown.subheader)
    return "\n".join(element.value for kind in kinds for element in kind).replace("\\", "")


def specs(shown: AppTest) -> list[str]:
    return [chart.proto.spec for chart in shown.get("vega_lite_chart")]


def test_without_a_run_the_overview_says_how_to_start_one_and_shows_what_is_planned():
    assert "No flow has run yet" in said(page("overview"))
    flow_runs.planned("tonight", hours=3)
    st.cache_data.clear()
    shown = page("overview")
    assert "No flow has run yet" in said(shown)
    assert [each.label[:11] for each in shown.expander] == ["Planned: 1,"]
    assert list(shown.dataframe[0].value["run"]) == ["tonight"]


def test_the_run_that_happened_is_shown_first_however_many_are_planned():
    flow_runs.ran("calm-heron")
    for hours in range(1, 13):
        flow_runs.planned(f"in-{hours}-hours", hours)
    shown = page("overview")
    assert list(shown.dataframe[0].value["run"]) == ["calm-heron"]
    assert "Steps of calm-heron" in said(shown)
    assert values(shown)["Steps"] == str(len(flow_runs.STEPS))
    (planned,) = shown.expander
    assert planned.label.startswith("Planned: 12, the next at ")
    assert list(planned.dataframe[0].value["run"])[:2] == ["in-1-hours", "in-2-hours"]
    assert "The next 10 of 12." in said(shown)


def test_a_run_that_was_all_cached_has_its_scorecard_and_shares_its_disk():
    made = Origin(run_id=flow_runs.ran("made"), run_name="made", flow="pipeline")
    again = flow_runs.ran("again", is_cached=True)
    store.journal(made, "base")
    served = Origin(run_id=again, run_name="again", flow="pipeline")
    store.journal(served, "base", is_cached=True)
    shown = page("overview")
    assert list(shown.dataframe[0].value["run"]) == ["again", "made"]
    assert list(shown.dataframe[0].value["disk"]) == [0.0, pytest.approx(4.0, abs=0.1)]
    numbers = values(shown)
    assert numbers["Served from cache"] == numbers["Steps"] == str(len(flow_runs.STEPS))
    assert (numbers["Disk, of what it made"], numbers["Shared with other runs"]) == (
        "0.0 MB",
        "4.0 MB",
    )
    card = shown.dataframe[1].value
    assert list(card["step"]) == ["pretrain.train"]
    assert list(card["cached"]) == [True]


def test_a_run_that_failed_shows_the_step_that_did():
    flow_runs.ran("unlucky", fails=True)
    shown = page("overview")
    assert list(shown.dataframe[0].value["state"]) == ["Failed"]
    steps = shown.dataframe[-1].value
    assert list(steps["state"]) == ["Completed"] * (len(flow_runs.STEPS) - 1) + ["Failed"]
    assert "a scorecard of this run" in said(shown)


def test_forty_runs_are_listed_and_the_oldest_can_be_chosen():
    flow_runs.ended(40)
    shown = page("overview")
    assert len(shown.dataframe[0].value) == 40
    assert "This run has taken no step yet" in said(shown)


@pytest.mark.parametrize("number", [1, 4, 40])
def test_every_model_keeps_its_label_its_colour_and_its_star_however_many_there_are(number):
    for place in range(number):
        store.pipeline(f"run-{place}", "base", version=place + 1 if place % 2 else None)
    shown = page("compare")
    runs = shown.multiselect[0].options
    assert len(runs) == min(number, 40)
    shown.multiselect[0].set_value(shown.multiselect[0].options).run(timeout=120)
    accuracy, trade = map(json.loads, specs(shown))
    rows = accuracy["layer"][0]["encoding"]["y"]["axis"]
    assert rows["labelOverlap"] is False
    assert rows["labelLimit"] == 0
    assert accuracy["height"] >= 20 * 3 * number
    size = trade["layer"][0]["encoding"]["x"]["scale"]
    assert size["zero"] is True
    assert "padding" not in size, "it would begin below 0"
    labels = compare.labels(shown.dataframe[0].value)
    legend = accuracy["layer"][0]["encoding"]["color"]["legend"]
    assert legend["symbolLimit"] == legend["labelLimit"] == 0
    names = list(shown.dataframe[0].value[legend["title"].lower()])
    assert legend["columns"] * max(map(len, names)) + max(map(len, labels)) <= 84
    assert len(set(labels)) == 3 * number
    assert sum("★" in label for label in labels) == number // 2
    assert ("run-1 as toy v2" in said(shown)) == (number > 1)


@pytest.mark.parametrize("number", [1, 4, 40])
def test_no_curve_s_name_is_cut_however_many_trainings_there_are(number):
    for place in range(number):
        store.train(store.origin(f"a-rather-long-name-{place}"), f"base-{place}", num_steps=2)
    shown = page("training")
    choice = shown.multiselect[0]
    assert len(choice.options) == number
    choice.set_value(choice.options[:8]).run(timeout=120)
    assert not shown.exception
    spec = json.loads(specs(shown)[0])
    colour = spec["encoding"]["color"]
    assert len(colour["scale"]["domain"]) == min(number, 8)
    assert colour["legend"]["labelLimit"] == colour["legend"]["symbolLimit"] == 0
    longest = max(map(len, colour["scale"]["domain"]))
    assert colour["legend"]["columns"] * longest <= 84  # letters in half of 1,440 pixels


@pytest.mark.parametrize("number", [1, 4, 40])
def test_the_models_of_every_run_can_be_chosen_in_the_playground(number, checkpoint):
    for place in range(number):
        of = store.origin(f"run-{place}")
        store.note_model(of, "pretrain.train", checkpoint.path)
    shown = page("playground")
    runs = shown.selectbox[0].options
    assert runs == [f"run-{place}" for place in reversed(range(number))]
    assert shown.selectbox[1].options == ["pretrain.train, float32"]
