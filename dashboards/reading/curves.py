"""The curves of trainings, as MLflow has them."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.reading.sources import experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

METRICS = {
    "loss": "Loss, nats a token",
    "validation_bits_per_byte": "Validation, bits per byte",
    "tokens_per_second": "Tokens per second",
    "memory_gigabytes": "Peak memory, GB",
    "optimizer.gradient_norm": "Gradient norm",
}
"""Titles of the curves, by the name of the metric."""

AXES = {"step": "Steps", "tokens": "Tokens", "seconds": "Seconds since the start"}
"""Titles of what curves can be drawn over."""

_TRAINED = "metrics.loss > -1"  # of any value but NaN
_RUN_COLUMNS = ["run", "component", "status", "progress", "loss", "started", "run_id"]
_Point = tuple[str, str, int, float | None, float, float]  # as _POINT_COLUMNS names them
_POINT_COLUMNS = ["run", "metric", "step", "tokens", "seconds", "value"]


def stages(mlflow: "MlflowClient", limit: int = 200) -> list[str]:
    """Return the stages that train, as the latest runs have them, the earliest first."""
    found = [run.data.tags.get("stage", "") for run in _trained(mlflow, _TRAINED, limit)]
    return [stage for stage in dict.fromkeys(reversed(found)) if stage]


def trainings(mlflow: "MlflowClient", stage: str, limit: int = 60) -> pd.DataFrame:
    """Return the latest trainings of a stage, one a row; `progress` is a share of 1."""
    runs = _trained(mlflow, f"tags.stage = '{stage}' and {_TRAINED}", limit)
    rows = [
        {
            "run": run.info.run_name or run.info.run_id[:8],
            "component": run.data.tags.get("component", ""),
            "status": run.info.status.lower(),
            "progress": run.data.metrics.get("progress"),
            "loss": run.data.metrics.get("loss"),
            "started": pd.Timestamp(run.info.start_time, unit="ms", tz="UTC"),
            "run_id": run.info.run_id,
        }
        for run in runs
    ]
    return pd.DataFrame(rows, columns=_RUN_COLUMNS)


def _trained(mlflow: "MlflowClient", query: str, limit: int) -> "list[Run]":
    where, order = experiment(mlflow), ["attributes.start_time DESC"]
    return (
        list(mlflow.search_runs(where, query, max_results=limit, order_by=order)) if where else []
    )


def curves(mlflow: "MlflowClient", runs: dict[str, str], metrics: list[str]) -> pd.DataFrame:
    """Return the points of some metrics of some runs (name by id), one a row.

    `tokens` is what the run had seen at that step, `seconds` the time since its first point; a
    step that a resumed run took again counts as it was taken last.
    """
    rows = [row for run_id, name in runs.items() for row in _points(mlflow, run_id, name, metrics)]
    return pd.DataFrame(rows, columns=_POINT_COLUMNS)


def _points(mlflow: "MlflowClient", run_id: str, name: str, metrics: list[str]) -> list[_Point]:
    history = {key: _history(mlflow, run_id, key) for key in {*metrics, "tokens"}}
    start = min((time for points in history.values() for time, _ in points.values()), default=0)
    tokens = {step: value for step, (_, value) in history["tokens"].items()}
    return [
        (name, key, step, tokens.get(step), (time - start) / 1000, value)
        for key in metrics
        for step, (time, value) in sorted(history[key].items())
    ]


def _history(mlflow: "MlflowClient", run_id: str, key: str) -> dict[int, tuple[int, float]]:
    """Return time (Unix milliseconds) and value of a metric by step, each as it was logged last."""
    points = mlflow.get_metric_history(run_id, key)
    ordered = sorted(points, key=lambda point: point.timestamp)
    return {point.step: (point.timestamp, point.value) for point in ordered}


def smoothed(points: pd.DataFrame, weight: float) -> pd.DataFrame:
    """Return the points with every value averaged with those before it, of the same curve.

    A point before counts `weight` times as much as the next, 0 to below 1; 0 changes nothing. The
    average is exponential and its weights sum to 1 from the first point on (Kingma and Ba 2015,
    section 3).
    """
    curves_of = points.groupby(["run", "metric"], sort=False)["value"]

    def averaged(values: Any) -> Any:
        return values.ewm(alpha=1 - weight, adjust=True).mean()

    return points.assign(value=curves_of.transform(averaged))
