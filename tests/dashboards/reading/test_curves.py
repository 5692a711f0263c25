"""Curves of trainings, out of a real MLflow store."""

import math

import pytest

from dashboards.reading.curves import METRICS, curves, smoothed, stages, trainings
from tests.dashboards import store


def test_the_trainings_of_a_stage_are_listed_newest_first_with_how_far_they_are(mlflow):
    store.train(store.origin("first"), "aa", num_steps=5)
    store.train(store.origin("second"), "bb", num_steps=10)
    found = trainings(mlflow, "pretrain")
    assert list(found["component"]) == ["pretrain.train"] * 2
    assert [name.split()[0] for name in found["run"]] == ["second", "first"]
    assert list(found["progress"]) == [1.0, 1.0]
    assert list(found["status"]) == ["finished"] * 2
    assert trainings(mlflow, "finetune").empty


def test_the_stages_that_train_are_those_that_have_a_loss(mlflow):
    assert stages(mlflow) == []
    store.train(store.origin("first"), "aa", num_steps=5)
    assert stages(mlflow) == ["pretrain"]
    assert trainings(mlflow, "data").empty


def test_every_point_is_there_once_over_steps_tokens_and_time(mlflow):
    run_id = store.train(store.origin("one"), "aa", num_steps=20)
    found = curves(mlflow, {run_id: "one"}, list(METRICS))
    loss = found[found["metric"] == "loss"]
    assert list(loss["step"]) == list(range(1, 21))
    assert list(loss["tokens"]) == [512.0 * step for step in range(1, 21)]
    assert loss["value"].iloc[9] == pytest.approx(6 * math.exp(-0.5))
    assert loss["seconds"].is_monotonic_increasing
    assert loss["seconds"].iloc[0] == 0
    validation = found[found["metric"] == "validation_bits_per_byte"]
    assert list(validation["step"]) == [10, 20]


def test_a_step_that_was_taken_again_counts_as_it_was_taken_last(mlflow):
    run_id = store.train(store.origin("one"), "aa", num_steps=3)
    mlflow.log_metric(run_id, "loss", 9.0, timestamp=2**42, step=3)
    found = curves(mlflow, {run_id: "one"}, ["loss"])
    assert list(found["step"]) == [1, 2, 3]
    assert found["value"].iloc[-1] == 9.0


def test_runs_without_points_have_no_curves_but_columns(mlflow):
    assert list(curves(mlflow, {}, ["loss"]).columns)[:3] == ["run", "metric", "step"]


def test_smoothing_weighs_what_came_before_and_keeps_curves_apart(mlflow):
    ids = {store.train(store.origin(n), n * 2, num_steps=4): n for n in ("a", "b")}
    found = curves(mlflow, ids, ["loss", "gradient_norm"])
    table = smoothed(found, 0.5)
    for name in ("a", "b"):
        raw = list(found[(found["run"] == name) & (found["metric"] == "loss")]["value"])
        one, two, three = raw[:3]
        expected = [one, (one / 2 + two) / 1.5, (one / 4 + two / 2 + three) / 1.75]
        got = list(table[(table["run"] == name) & (table["metric"] == "loss")]["value"])
        assert got[:3] == pytest.approx(expected)
    assert smoothed(found, 0.0).equals(found)
