"""Data-parallel training: one function on every process of a group, or in this one.

Ray Train starts the group, on this machine or on a cluster; without Ray, torchrun does, here.
"""

import logging
import os
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from components.core.component import Component
from components.core.lease import OWNER
from components.core.processes import preemption
from components.core.processes.call import Call, raise_unless_done
from components.core.processes.driver import run_in_driver
from components.core.processes.preemption import Preempted
from components.core.processes.torchrun import (
    BEGUN,
    COLLECTIVE_SECONDS,
    NOTICE,
    NUM_RESTARTS,
    perform_in_group,
)
from components.core.settings import settings

_FEW_TOKENS = 500_000  # a small model reads them in the 20 seconds that Ray and its workers take

logger = logging.getLogger(__name__)

_LEAVE_SECONDS = 22.0  # Prefect and Kubernetes kill after 30 s
_SAVE_SECONDS = 25.0  # more, for a checkpoint that is half written

Worker = Callable[[dict[str, Any]], None]


def train_on_workers(
    worker: Worker,
    component: Component[Any, Any],
    inputs: BaseModel,
    out: Path,
    num_tokens: int | None = None,
) -> None:
    """Call `worker` in every process of a group of `BLOOMERY_NUM_WORKERS`, under Ray Train.

    It gets a JSON payload with `component`, `inputs` and `out`. With `BLOOMERY_RAY_ADDRESS=off`
    torchrun starts the group, and a single worker runs in this process. `worker` must be
    importable: a function of a module. So does a single worker that reads at most `num_tokens`, if
    these are few: a Ray of its own would start longer than it trains. A group that loses a process
    starts again; SIGTERM to this process is passed on to every worker, and ends a group that has
    not begun.

    Raises:
        ValueError: a worker raised it; that would only happen again.
        Preempted: the workers were told to leave, and saved what they had if they had begun.
    """
    payload = {
        "component": component.model_dump(mode="json"),
        "inputs": inputs.model_dump(mode="json"),
        "out": str(out),
    }
    without_ray = settings().ray_address == "off"
    is_short = settings().ray_address == "local" and (num_tokens or _FEW_TOKENS) < _FEW_TOKENS
    if (without_ray or is_short) and settings().num_workers == 1:
        worker(payload)
        return
    call = Call(target=f"{worker.__module__}:{worker.__qualname__}", payload=payload)
    start = "components.core.processes.torchrun:torchrun"
    start = start if without_ray else f"{__name__}:ray_train"
    told = _Told(out)
    try:
        with preemption.listen(told), closing(told):
            run_in_driver(Call(target=start, payload=call.model_dump()))
    except preemption.Leave:
        raise Preempted(preemption.saved_step(out)) from None


class _Told:
    """What to do when this process is told to leave: tell the workers, and wait for them.

    Nobody waits for a group that has not begun: Ray takes half a minute to start on a busy machine,
    and whoever said it kills after 30 s.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._end_of_patience = 0.0
        self._timer: threading.Timer | None = None
        for name in (NOTICE, BEGUN):
            (out / name).unlink(missing_ok=True)

    def __call__(self) -> None:
        """Tell the workers; at the end of the patience, or before they began, leave at once."""
        (self._out / NOTICE).touch()
        now = time.monotonic()
        if not (self._out / BEGUN).exists() or (self._timer and now > self._end_of_patience):
            raise preemption.Leave
        if self._timer is None:
            self._wait(_LEAVE_SECONDS)

    def close(self) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, seconds: float) -> None:
        self._end_of_patience = time.monotonic() + seconds
        self._timer = threading.Timer(seconds + 0.1, self._remind, [seconds == _LEAVE_SECONDS])
        self._timer.daemon = True
        self._timer.start()

    def _remind(self, may_save: bool) -> None:
        """Have the main thread leave, unless a checkpoint is just being written: then once later.

        A signal wakes it from what it waits for.
        """
        if may_save and any(self._out.glob("checkpoints/.step_*")):
            self._wait(_SAVE_SECONDS)
            return
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, signal.SIGTERM)


def ray_train(payload: dict[str, Any]) -> None:
    """Do a call on a Ray Train group; runs in the driver process."""
    from components.core.processes.ray_session import ray_session

    os.environ[OWNER] = uuid.uuid4().hex
    with ray_session():
        from ray.exceptions import RayActorError
        from ray.train import TrainingFailedError

        for num_left in reversed(range(NUM_RESTARTS + 1)):
            try:
                return _fit(payload)
            except (TrainingFailedError, RayActorError) as error:
                _raise_final(error)
                if num_left == 0:
                    raise
                logger.warning("the workers start again, %d times more: %s", num_left, error)


def _work(payload: dict[str, Any]) -> None:
    """Do a call in a worker: what it raises is of classes that every process can unpickle."""
    raise_unless_done(perform_in_group(Call.model_validate(payload)))


def _fit(payload: dict[str, Any]) -> None:
    """Run one group of workers until all are done or one has failed.

    Every group is a run of its own: Ray resumes one of the same name from its own snapshot, and
    restarts a group no matter what it failed of. Our checkpoints and `_raise_final` decide that.
    """
    import ray
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    name, storage = f"train-{uuid.uuid4().hex}", settings().home.resolve() / "ray"
    num_workers = settings().num_workers
    trainer = TorchTrainer(
        _work,
        train_loop_config=payload,
        torch_config=TorchConfig(timeout_s=COLLECTIVE_SECONDS),
        scaling_config=ray.train.ScalingConfig(
            num_workers=num_workers,
            use_gpu=ray.cluster_resources().get("GPU", 0) >= num_workers,
        ),
        run_config=ray.train.RunConfig(name=name, storage_path=str(storage)),
    )
    try:
        trainer.fit()
    finally:
        shutil.rmtree(storage / name, ignore_errors=True)


def _raise_final(error: Exception) -> None:
    """Raise what a worker raised if starting again is no remedy for it."""
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    for failure in failures.values():
        if isinstance(failure, ValueError | Preempted):
            raise failure from None
