"""The curves of trainings, as MLflow has them."""

from typing import TYPE_CHECKING

import pandas as pd

from dashboards.sources import experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS = {
    "loss": "Loss, nats a token",
    "validation_bits_per_byte": "Validation, bits per byte",
    "tokens_per_second": "Tokens per second",
    "memory_gigabytes": "Peak memory, GB",
    "gradient_norm": "Gradient norm",
}
"""Titles of the curves, by the name of the metric."""

AXES = {"step": "Step", "tokens": "Tokens", "minutes": "Minutes since the start"}
"""Titles of what curves can be drawn over."""

_STAGES = ("pretrain", "finetune", "align")
_RUN_COLUMNS = ["run", "component", "status", "progress", "loss", "started", "run_id"]
_POINT_COLUMNS = ["run", "metric", "step", "tokens", "minutes", "value"]


def trainings(mlflow: "MlflowClient", stage: str, limit: int = 60) -> pd.DataFrame:
    """Return the latest trainings of a stage, one a row; `progress` is a share of 1.

    Raises:
        ValueError: nothing is trained in this stage.
    """
    if stage not in _STAGES:
        raise ValueError(f"Nothing is trained in {stage!r}. Choose of: {', '.join(_STAGES)}.")
    query = f"tags.stage = '{stage}' and metrics.loss > -1"
    where, order = experiment(mlflow), ["attributes.start_time DESC"]
    runs = mlflow.search_runs(where, query, max_results=limit, order_by=order) if where else []
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


def curves(mlflow: "MlflowClient", runs: dict[str, str], metrics: list[str]) -> pd.DataFrame:
    """Return the points of some metrics of some runs (name by id), one a row.

    `tokens` is what the run had seen at that step, `minutes` the time since its first point; a
    step that a resumed run took again counts as it was taken last.
    """
    parts = [_points(mlflow, run_id, name, metrics) for run_id, name in runs.items()]
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_POINT_COLUMNS)


def _points(mlflow: "MlflowClient", run_id: str, name: str, metrics: list[str]) -> pd.DataFrame:
    history = {key: _history(mlflow, run_id, key) for key in {*metrics, "tokens"}}
    seen = history["tokens"].set_index("step")["value"]
    start = min((part["time"].min() for part in history.values() if len(part)), default=0)
    rows = pd.concat([history[key].assign(metric=key) for key in metrics], ignore_index=True)
    rows = rows.assign(
        run=name,
        tokens=rows["step"].map(seen),
        minutes=(rows["time"] - start) / 60_000,
    )
    return rows[_POINT_COLUMNS]


def _history(mlflow: "MlflowClient", run_id: str, key: str) -> pd.DataFrame:
    """Return the points of a metric by step, each step once, `time` in Unix milliseconds."""
    points = mlflow.get_metric_history(run_id, key)
    rows = [(point.step, point.timestamp, point.value) for point in points]
    found = pd.DataFrame(rows, columns=["step", "time", "value"])
    found = found.sort_values(["step", "time"]).drop_duplicates("step", keep="last")
    return found.astype({"step": "int64", "time": "int64", "value": "float64"})
