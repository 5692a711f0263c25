"""Data-parallel training: one function on every process of a group, or in this one.

Ray Train starts the group, on this machine or on a cluster; without Ray, torchrun does, here.
"""

import importlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from components.core import preemption
from components.core.artifacts import Frozen
from components.core.component import Component
from components.core.driver import die_with_parent, run_in_driver
from components.core.files import write_json
from components.core.lease import OWNER
from components.core.preemption import Preempted
from components.core.settings import settings

logger = logging.getLogger(__name__)

Worker = Callable[[dict[str, Any]], None]

COLLECTIVE_SECONDS = 300  # the others wait that long for rank 0 to validate and to save
_NUM_RESTARTS = 3
_RANK = "components.lib.rank"
_ANSWER = "answer.json"
_NOTICE = ".preempt"  # in the output folder, which workers on every machine see
_LOOK_EVERY_SECONDS = 0.5


def train_on_workers(
    worker: Worker, component: Component[Any, Any], inputs: BaseModel, out: Path
) -> None:
    """Call `worker` in every process of a group of `BLOOMERY_NUM_WORKERS`, under Ray Train.

    It gets a JSON payload with `component`, `inputs` and `out`. With `BLOOMERY_RAY_ADDRESS=off`
    torchrun starts the group, and a single worker runs in this process. `worker` must be
    importable: a function of a module. A group that loses a process starts again; SIGTERM to this
    process is passed on to every worker.

    Raises:
        ValueError: a worker raised it; that would only happen again.
        Preempted: the workers were told to leave and saved what they had.
    """
    payload = {
        "component": component.model_dump(mode="json"),
        "inputs": inputs.model_dump(mode="json"),
        "out": str(out),
    }
    without_ray = settings().ray_address == "off"
    if without_ray and settings().num_workers == 1:
        worker(payload)
        return
    target, notice = f"{worker.__module__}:{worker.__qualname__}", out / _NOTICE
    notice.unlink(missing_ok=True)
    with preemption.listen(notice.touch):
        start = "torchrun" if without_ray else "ray_train"
        run_in_driver(f"{__name__}:{start}", {"target": target, "payload": payload})


class Answer(Frozen):
    """What a group that torchrun started has to say beside its exit status."""

    error: str | None = None
    """What a user can mend."""
    preempted_after: int | None = None
    """The step that was saved before the group left."""

    def write(self, request: Path) -> None:
        """Write it beside the request."""
        write_json(request.with_name(_ANSWER), self.model_dump())


def torchrun(request: dict[str, Any]) -> None:
    """Run the target on a group that torchrun starts; runs in the driver process."""
    os.environ[OWNER] = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
        file = Path(folder) / "request.json"
        write_json(file, request)
        group = ["--standalone", f"--nproc-per-node={settings().num_workers}"]
        command = [sys.executable, "-m", "torch.distributed.run", *group, "-m", _RANK, str(file)]
        for num_left in reversed(range(_NUM_RESTARTS + 1)):
            code = subprocess.run(command, check=False, preexec_fn=die_with_parent).returncode
            if code == 0:
                return
            _raise_answer(file.with_name(_ANSWER))
            if num_left == 0:
                raise RuntimeError(f"torchrun ended with code {code}.")
            logger.warning("torchrun ended with code %d; %d restarts left", code, num_left)


def _raise_answer(file: Path) -> None:
    if not file.exists():
        return
    answer = Answer.model_validate_json(file.read_text("utf-8"))
    if answer.preempted_after is not None:
        raise Preempted(answer.preempted_after)
    raise ValueError(answer.error)


def ray_train(request: dict[str, Any]) -> None:
    """Run the target on a Ray Train group; runs in the driver process."""
    from ray.exceptions import RayActorError
    from ray.train import TrainingFailedError

    from components.core.ray_session import ray_session

    os.environ[OWNER] = uuid.uuid4().hex
    with ray_session():
        for num_left in reversed(range(_NUM_RESTARTS + 1)):
            try:
                return _fit(request)
            except (TrainingFailedError, RayActorError) as error:
                _raise_final(error)
                if num_left == 0:
                    raise
                logger.warning("the workers start again, %d times more: %s", num_left, error)


def _fit(request: dict[str, Any]) -> None:
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
        call,
        train_loop_config=request,
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


def call(request: dict[str, Any]) -> None:
    """Do the work of one process of a group; it leaves when the whole group is told to."""
    module, function = request["target"].split(":")
    notice = Path(request["payload"]["out"]) / _NOTICE
    threading.Thread(target=_pass_on, args=(notice,), daemon=True).start()
    try:
        getattr(importlib.import_module(module), function)(request["payload"])
    except ValueError as error:
        raise ValueError(str(error)) from error  # of a class that every process can unpickle


def _pass_on(notice: Path) -> None:
    """Ask this worker to leave once the notice is there."""
    while not notice.exists():
        time.sleep(_LOOK_EVERY_SECONDS)
    preemption.request()
