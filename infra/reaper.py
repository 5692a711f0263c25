"""End the runs whose process is dead: Prefect itself would show them as running for ever.

A worker that lives reports the death of its runs within seconds. This is for what nobody reports:
a worker that was killed, a machine that lost power, `bloomery run` ended by SIGKILL. A run is asked
by its process and never by its silence, so that an outage of the server kills none.
"""

import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psutil

from components.core.journal import process_of
from components.core.processes.preemption import saved_step
from components.core.record import RECORD
from components.core.servers.calls import Refused, call
from components.core.servers.endpoints import Servers
from components.core.settings import settings
from components.core.tracking import shipping
from infra.services import POOL

logger = logging.getLogger(__name__)

SWEEP_EVERY_SECONDS = 15.0
_ALIVE = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}
_ENDED = {"COMPLETED": "FINISHED", "CANCELLED": "KILLED", "FAILED": "FAILED", "CRASHED": "FAILED"}
_YOUNG_SECONDS = 20.0  # between a state and the note of its process
_UNKNOWN_SECONDS = 90.0  # a process that has not come until then does not come
_GRACE_SECONDS = 45.0  # for a checkpoint
_MESSAGE = "The process of this run died."


class Reaper:
    """Looks for lost runs; one is lost that is found without a process twice in a row."""

    def __init__(self, servers: Servers) -> None:
        """Look at the runs that these servers know."""
        self._api = f"{servers.prefect}/api"
        self._mlflow = f"{servers.mlflow}/api/2.0/mlflow"
        self._suspects = set[str]()

    def sweep(self, at_start: bool = False) -> list[str]:
        """End what is lost and return the names; `at_start` no worker is there to wait for.

        Raises:
            OSError: a server does not answer.
        """
        roots = {"state": _ALIVE, "parent_task_run_id": {"is_null_": True}}
        runs = self._post("/flow_runs/filter", {"flow_runs": roots})
        dead = [run for run in runs if self._is_dead(run, at_start)]
        sure = dead if at_start else [run for run in dead if run["id"] in self._suspects]
        self._suspects = {run["id"] for run in dead}
        for run in runs:
            _cancel_orphan(run)
        for run in sure:
            self._end(run)
        with suppress(OSError, Refused):  # the next sweep comes to it
            self._end_unanswered()
        return [run["name"] for run in sure]

    def _is_dead(self, run: dict[str, Any], at_start: bool) -> bool:
        age = _age(run)
        process = process_of(run["id"])
        if process is not None and run["state_type"] != "PENDING":
            return not process.is_alive() and (at_start or age > _YOUNG_SECONDS)
        if run["work_pool_name"] != POOL or _runs_here(run["infrastructure_pid"]):
            return False
        return at_start or (age > _UNKNOWN_SECONDS and self._has_no_worker_elsewhere())

    def _has_no_worker_elsewhere(self) -> bool:
        workers = self._post(f"/work_pools/{POOL}/workers/filter", {})
        online = [row["name"] for row in workers if row["status"] == "ONLINE"]
        return all(name.rpartition("-")[0] == socket.gethostname() for name in online)

    def _end(self, run: dict[str, Any]) -> None:
        kind = "CANCELLED" if run["state_type"] == "CANCELLING" else "CRASHED"
        message = f"{_MESSAGE} {_what_retry_does(run['id'])}"
        state = {"type": kind, "name": kind.capitalize(), "message": message}
        for each in [*self._subflows(run), run]:
            wanted = {"flow_runs": {"id": {"any_": [each["id"]]}}, "task_runs": {"state": _ALIVE}}
            for task in self._post("/task_runs/filter", wanted):
                self._post(f"/task_runs/{task['id']}/set_state", {"state": state, "force": True})
            self._post(f"/flow_runs/{each['id']}/set_state", {"state": state, "force": True})
        logger.warning("%s: %s", run["name"], message)
        self._end_in_mlflow(run["id"])

    def _subflows(self, run: dict[str, Any]) -> Iterator[dict[str, Any]]:
        wanted = {"state": _ALIVE, "parent_flow_run_id": {"any_": [run["id"]]}}
        for child in self._post("/flow_runs/filter", {"flow_runs": wanted}):
            yield from self._subflows(child)
            yield child

    def _end_in_mlflow(self, run_id: str) -> None:
        wanted = f"tags.flow_run_id = '{run_id}' and attributes.status = 'RUNNING'"
        for found in self._in_mlflow(wanted):
            self._set_status(found, "KILLED")

    def _end_unanswered(self) -> None:
        """Have MLflow say so, too, where nobody gave the approval that a run waited for."""
        for found in self._in_mlflow("attributes.status = 'SCHEDULED' and tags.level = 'flow'"):
            tags = {tag["key"]: tag["value"] for tag in found["data"]["tags"]}
            if (status := self._outcome(tags["flow_run_id"])) is not None:
                self._set_status(found, status)

    def _outcome(self, run_id: str) -> str | None:
        """Return what MLflow is to say of a flow run, None as long as it has not ended."""
        try:
            return _ENDED.get(call(f"{self._api}/flow_runs/{run_id}")["state_type"])
        except Refused as error:
            if error.status != 404:
                raise
            return "KILLED"  # it was deleted

    def _in_mlflow(self, wanted: str) -> Iterator[dict[str, Any]]:
        named = {"filter": f"name = '{settings().experiment}'", "max_results": 1}
        known = call(f"{self._mlflow}/experiments/search", named)
        for experiment in known.get("experiments", []):
            body = {"experiment_ids": [experiment["experiment_id"]], "filter": wanted}
            yield from call(f"{self._mlflow}/runs/search", body).get("runs", [])

    def _set_status(self, found: dict[str, Any], status: str) -> None:
        end = {"run_id": found["info"]["run_id"], "status": status}
        call(f"{self._mlflow}/runs/update", end)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return call(self._api + path, body)


def _cancel_orphan(run: dict[str, Any]) -> None:
    """Stop a run that people cancelled and whose worker is not there to stop it."""
    process = process_of(run["id"])
    if run["state_type"] != "CANCELLING" or process is None or not process.is_here():
        return
    with suppress(psutil.NoSuchProcess):
        found = psutil.Process(process.pid)
        if found.ppid() == 1:
            found.send_signal(signal.SIGKILL if _age(run) > _GRACE_SECONDS else signal.SIGTERM)


def _what_retry_does(run_id: str) -> str:
    """Return where a retry of a dead run goes on, by the step it was at and its checkpoints."""
    for out in shipping.unshipped():
        step = shipping.load(out)
        if step is None or step.origin.run_id != run_id or (out / RECORD).exists():
            continue
        if (saved := saved_step(out)) is not None:
            return (
                f"Retry goes on with {step.tags['component']} from its checkpoint of step {saved}."
            )
        return (
            f"Retry keeps the finished steps and begins {step.tags['component']} again: there is "
            "no checkpoint of it."
        )
    return "Retry keeps the finished steps and goes on after them."


def _age(run: dict[str, Any]) -> float:
    """Return for how many seconds a run has been in its state."""
    return (datetime.now(UTC) - datetime.fromisoformat(run["state"]["timestamp"])).total_seconds()


def _runs_here(infrastructure: str | None) -> bool:
    """Return whether a worker noted a process that runs here: `pid` or `host:pid`."""
    pid = (infrastructure or "").rpartition(":")[2]
    return pid.isdigit() and psutil.pid_exists(int(pid))
