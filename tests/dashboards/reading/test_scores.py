"""Models side by side, out of a real MLflow store."""

import pytest

from components.core.machine import Machine
from components.core.settings import settings
from dashboards.reading import scores
from tests.dashboards import store


def _released(name: str):
    folder = settings().artifacts / "release.register" / "1.0.0" / f"folder-{name}"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    store.release(folder, store.origin(name))
    return folder


def test_pipelines_with_a_scorecard_are_listed_newest_first_with_what_they_released(mlflow):
    store.pipeline("old", base="base")
    _released("old")
    store.pipeline("new", base="base")
    store.ship_parent_without_scorecard(store.origin("unfinished"))
    found = scores.pipelines(mlflow)
    assert list(found["run"]) == ["new", "old"]
    assert list(found["released"]) == ["", "toy v1 champion"]


def test_pipelines_are_found_by_a_part_of_their_name_that_cannot_leave_its_quotes(mlflow):
    store.pipeline("calm-heron", base="base")
    store.pipeline("brave-otter", base="base")
    assert list(scores.pipelines(mlflow, "HERON")["run"]) == ["calm-heron"]
    assert scores.pipelines(mlflow, "weasel").empty
    assert list(scores.pipelines(mlflow, "' or")["run"]) == []
    assert len(scores.pipelines(mlflow, limit=1)) == 1


def test_a_registered_version_has_its_aliases_and_the_place_of_its_folder(mlflow):
    _released("old")
    _released("new")
    found = scores.registered(mlflow)
    assert list(found["version"]) == [2, 1]
    assert list(found["aliases"]) == ["champion", ""]
    assert list(found["path"]) == [
        f"release.register/1.0.0/folder-{name}" for name in ("new", "old")
    ]


def test_a_scorecard_comes_back_as_it_was_published(mlflow):
    published = store.pipeline("one", base="base", version=3)
    assert scores.report_of_flow_run(mlflow, "id-one") == published
    assert scores.report_of_flow_run(mlflow, "id-other") is None


def test_every_measured_model_is_a_row_with_its_interval_and_its_release(mlflow):
    found = scores.models({"one": store.pipeline("one", base="base", version=3)})
    assert list(found["step"]) == ["pretrain.train", "align.dpo", "compress.quantize"]
    last = found.iloc[-1]
    assert (last["bits_per_byte"], last["megabytes"], last["released"]) == (1.71, 1.2, "toy v3")
    assert last["accuracy_low"] < last["accuracy"] < last["accuracy_high"]
    assert list(found["released"])[:2] == ["", ""]


def test_only_the_parameters_that_differ_are_told(mlflow):
    store.train(store.origin("one"), "base")
    reports = {
        name: store.pipeline(name, base="base", beta=beta)
        for name, beta in (("one", 0.1), ("two", 0.25))
    }
    found = scores.differences(mlflow, reports)
    assert found.to_dict("index") == {"align.dpo: beta": {"one": "0.1", "two": "0.25"}}


def test_one_recipe_on_other_machines_differs_in_what_made_the_weights(mlflow):
    one = Machine(processor="AMD EPYC", features=("avx2",), threads=2, workers=1, accelerators=())
    two = one.model_copy(update={"features": ("avx2", "avx512f"), "threads": 8})
    store.train(store.origin("one"), "base")
    made = {
        name: store.pipeline(name, base="base", machine=machine)
        for name, machine in (("one", one), ("two", two))
    }
    reports = {name: scores.report_of_flow_run(mlflow, f"id-{name}") for name in made}
    assert reports == made, "MLflow's copy lacks the machines"
    assert scores.differences(mlflow, reports).to_dict("index") == {
        "machine: features": {"one": "avx2", "two": "avx2, avx512f"},
        "machine: threads": {"one": "2", "two": "8"},
    }


def test_a_step_that_one_run_lacks_differs_in_all_its_parameters(mlflow):
    store.train(store.origin("one"), "base", learning_rate=0.02)
    whole = store.pipeline("one", base="base")
    part = whole.model_copy(update={"stages": whole.stages[1:]})
    found = scores.differences(mlflow, {"whole": whole, "part": part})
    assert found.loc["pretrain.train: training.learning_rate"].to_dict() == {
        "whole": "0.02",
        "part": "",
    }


def test_the_scorecard_shows_shares_with_their_interval(mlflow):
    table = scores.scorecard(store.pipeline("one", base="base"))
    row = table[table["step"] == "align.dpo"].iloc[0]
    assert row["accuracy"] == pytest.approx(0.5)
    assert row["95 % interval"] == "45.0 to 55.0 %"


def test_an_artifact_that_is_not_there_is_none_and_no_error(mlflow):
    run_id = store.train(store.origin("one"), "base", num_steps=2)
    assert scores.read_text(mlflow, run_id, "report/card.json") is None
    assert scores.read_text(mlflow, run_id, "artifact.json") is not None
