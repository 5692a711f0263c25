"""Which points of a step MLflow gets: a few thousand of each metric at most.

A metric keeps its first 1,000 points, then those whose step is a multiple of 10, of 100 above
10,000, and so on: 900 more a decade. A point that is sent twice counts once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.tracking import spool

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

_BATCH = 500  # metrics of a call; MLflow takes 1,000
_NUM_KEPT = 1000  # points of a metric before it is thinned


class Sent(Frozen):
    """What MLflow has of the points of a step."""

    offset: int = 0
    """Bytes of the spool that were read."""
    last_step: dict[str, int] = Field(default_factory=dict)
    """Highest step of each metric."""
    num_points: dict[str, int] = Field(default_factory=dict)
    """Points of each metric."""


def batches(
    mlflow: "MlflowClient", out: Path, run_id: str | None, before: Sent
) -> "Iterator[tuple[Sent, list[Metric]]]":
    """Yield what to send in one call, and what MLflow has after it."""
    choice = _Choice(mlflow, run_id or "", before)
    offset, batch = before.offset, list["Metric"]()
    for after, metric in metrics(out, offset):
        if after != offset and len(batch) >= _BATCH:  # all metrics of a point go together
            yield choice.sent(offset), batch
            batch = []
        offset = after
        if choice.takes(metric):
            batch.append(metric)
    if offset != before.offset:
        yield choice.sent(offset), batch


class _Choice:
    """Which points MLflow is to have: thinned, and none that it has."""

    def __init__(self, mlflow: "MlflowClient", run_id: str, before: Sent) -> None:
        """Begin after what was sent `before`."""
        self._mlflow, self._run_id = mlflow, run_id
        self._last_step = dict(before.last_step)
        self._num_points = dict(before.num_points)
        self._known: dict[str, set[tuple[int, float]]] = {}

    def takes(self, metric: "Metric") -> bool:
        """Return whether to send it, and count it."""
        key, step, last = metric.key, metric.step, self._last_step.get(metric.key, -1)
        num_points = self._num_points.get(key, 0)
        is_kept = num_points < _NUM_KEPT or step % 10 ** max(1, len(str(step - 1)) - 3) == 0
        if not is_kept or (step <= last and self._has(metric)):
            return False
        self._last_step[key], self._num_points[key] = max(step, last), num_points + 1
        return True

    def sent(self, offset: int) -> Sent:
        """Return the account of what was taken so far."""
        return Sent(offset=offset, last_step={**self._last_step}, num_points={**self._num_points})

    def _has(self, metric: "Metric") -> bool:
        """Return whether MLflow has this value at this step: a resumed run writes it again."""
        if metric.key not in self._known:
            points = self._mlflow.get_metric_history(self._run_id, metric.key)
            self._known[metric.key] = {(point.step, point.value) for point in points}
        return (metric.step, metric.value) in self._known[metric.key]


def metrics(out: Path, offset: int) -> "Iterator[tuple[int, Metric]]":
    """Yield (offset after its point, metric) for all of the spool from `offset` on."""
    from mlflow.entities import Metric

    for after, point in spool.read(out, offset):
        when = int(point["time"] * 1000)
        for key, value in point["metrics"].items():
            yield after, Metric(key, value, when, point["step"])
