"""A thread that shows a step in MLflow while it works."""

import logging
import os
import threading
import time
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from components.core.component import Component
from components.core.journal import Origin
from components.core.processes.preemption import Preempted
from components.core.servers.databases import hidden
from components.core.servers.endpoints import tracking_uri
from components.core.tracking import shipping
from components.core.tracking.client import client, refusal

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

logger = logging.getLogger(__name__)

_SHIP_EVERY_SECONDS = 2.0
_SAMPLE_SECONDS, _SAMPLES = 10, 1000  # of the machine's use: a long run has them less often
_PATIENCE_SECONDS = 60.0  # at the end of a step; a first database takes 10 s to make
_HURRY_SECONDS = 8.0  # of a step that was told to leave
_silent = set[str]()  # the MLflows that did not answer last time, by URI: no step waits for them


class Tracker:
    """Show the work of one component as an MLflow run, from beginning to end.

    Use as a context: leaving it ships what is left and closes the run as finished, failed or
    killed. A server that is slow or down costs the step a warning; what it missed is shipped later.
    """

    def __init__(
        self, component: Component[Any, Any], out: Path, origin: Origin, data_revision: str | None
    ) -> None:
        """Prepare to show `component`, which writes its metrics to the spool of `out`."""
        self._out = out
        self._lock = threading.Lock()  # two threads change the shipment
        self._shipment = shipping.prepare(component, out, origin, data_revision)
        self._uri = ""  # found by the thread: to ask whether a server is up takes its time
        self._opened, self._done = threading.Event(), threading.Event()
        self._closed, self._given_up = threading.Event(), threading.Event()
        self._refusal: str | None = None  # what MLflow answered the last attempt, if it refused
        self._thread = threading.Thread(target=self._ship, name="mlflow", daemon=True)

    def __enter__(self) -> Self:
        """Start shipping."""
        self._change()
        self._thread.start()
        return self

    def run_id(self) -> str | None:
        """Return the MLflow run, waiting for it to open; None if tracking is down."""
        self._wait(self._opened, _PATIENCE_SECONDS)
        return self._shipment.run_id

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ship what is left; a dead tracking server is a warning, never a failed step."""
        was_killed = isinstance(error, KeyboardInterrupt | Preempted)
        status = "KILLED" if was_killed else "FAILED" if error is not None else "FINISHED"
        self._change(status=status, ended=int(time.time() * 1000))
        self._refusal = None  # it is asked once more
        self._done.set()
        if not self._wait(self._closed, _HURRY_SECONDS if was_killed else _PATIENCE_SECONDS):
            self._given_up.set()
            self._warn()

    def _warn(self) -> None:
        """Say what MLflow lacks, and why."""
        kept = "`bloomery sync` or the next step sends it the metrics of %s, which are kept there."
        if self._refusal is not None:
            where = hidden(self._uri)
            logger.warning(f"MLflow at %s refuses: %s {kept}", where, self._refusal, self._out)
            return
        _silent.add(self._uri)
        logger.warning(f"MLflow does not answer. {kept}", self._out)

    def _change(self, **changes: Any) -> None:
        with self._lock:
            self._shipment = self._shipment.with_(**changes)
            shipping.save(self._out, self._shipment)

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for what MLflow must answer, briefly if it did not last time; return if it did.

        Nobody waits for what it has refused.
        """
        start = time.monotonic()
        while not event.wait(0.05):
            patience = 1.0 if self._uri in _silent else seconds
            if self._refusal is not None or time.monotonic() > start + patience:
                return False
        return True

    def _ship(self) -> None:
        """Try until all is there: each attempt goes on where the last one stopped."""
        num_failures = 0
        while not self._given_up.is_set():
            try:
                self._uri = tracking_uri()
                self._follow(client())
                return self._closed.set()
            except Exception as error:
                if self._has_lost_runs():
                    continue
                num_failures += 1
                self._refusal = refusal(error)
                # one failure alone may be a database that is just being made
                if self._refusal is None and num_failures > 1:
                    _silent.add(self._uri)
                logger.debug("MLflow failed, %s waits: %s", self._out, error)
                self._given_up.wait(_SHIP_EVERY_SECONDS)
        return None

    def _has_lost_runs(self) -> bool:
        """Return whether somebody deleted the runs of this step; they are then opened anew."""
        try:
            left = shipping.without_deleted(client(), self._shipment)
        except Exception:
            return False  # it does not answer
        if left == self._shipment:
            return False
        self._opened.clear()
        self._change(run_id=left.run_id, parent=left.parent, sent=left.sent)
        return True

    def _follow(self, mlflow: "MlflowClient") -> None:
        """Send the points as they come, and close the run once the step is done."""
        if not self._opened.is_set():
            opened = shipping.open_run(mlflow, self._shipment)
            found = opened.model_dump(include={"run_id", "experiment", "parent"})
            self._change(**found, sent=opened.sent)
            self._opened.set()
            _ship_the_rest_of_others()
        is_done = False
        with closing(_Watch(self._shipment.run_id)) as watch:
            while not is_done:
                is_done = self._done.wait(_SHIP_EVERY_SECONDS)
                if not is_done:
                    watch.go_on()
                for shipped in shipping.send_points(mlflow, self._out, self._shipment):
                    self._change(sent=shipped.sent)
                _silent.discard(self._uri)
        shipping.close_run(mlflow, self._out, self._shipment)
        self._change(is_closed=True)


class _Watch:
    """MLflow's own thread, which logs the use of CPU, memory, disk, network and GPUs.

    It logs nothing before its first interval is over: a step of a moment does without.
    """

    def __init__(self, run_id: str | None) -> None:
        self._run_id, self._start = run_id, time.monotonic()
        self._monitor: SystemMetricsMonitor | None = None
        self._interval: float = _SAMPLE_SECONDS
        if "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL" in os.environ:  # it may be short
            self._begin(0.0)

    def go_on(self) -> None:
        """Log from now on, and less often the longer the step takes."""
        gone = time.monotonic() - self._start
        if self._monitor is None:
            self._begin(gone)
        else:
            self._monitor.sampling_interval = max(self._interval, gone / _SAMPLES)

    def close(self) -> None:
        """Log no more."""
        if self._monitor is not None:
            self._monitor.finish()

    def _begin(self, gone: float) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(self._run_id, _SAMPLE_SECONDS, resume_logging=True)
        self._interval = monitor.sampling_interval  # MLflow's own variable may say another
        monitor.sampling_interval = max(self._interval - gone, 0.0)  # as if from the beginning
        monitor.start()
        self._monitor = monitor


def _ship_the_rest_of_others() -> None:
    """Use the chance: MLflow answers."""
    try:
        for out in shipping.sync():
            logger.info("MLflow now has all of %s", out)
    except Exception as error:  # not of this step, and tried again by the next
        logger.warning("MLflow did not take all that earlier steps left: %s", error)
