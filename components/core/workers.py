"""Data-parallel training: one function on every process of a Ray Train group, or in this one."""

import importlib
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from components.core.component import Component
from components.core.driver import run_in_driver
from components.core.settings import settings

Worker = Callable[[dict[str, Any]], None]


def train_on_workers(
    worker: Worker, component: Component[Any, Any], inputs: BaseModel, out: Path
) -> None:
    """Call `worker` in every process of a group of `BLOOMERY_NUM_WORKERS`, under Ray Train.

    It gets a JSON payload with `component`, `inputs` and `out`. With `BLOOMERY_RAY_ADDRESS=off` it
    runs in this process, alone. `worker` must be importable: a function of a module.
    """
    payload = {
        "component": component.model_dump(mode="json"),
        "inputs": inputs.model_dump(mode="json"),
        "out": str(out),
    }
    if settings().ray_address == "off":
        worker(payload)
    else:
        target = f"{worker.__module__}:{worker.__qualname__}"
        run_in_driver(f"{__name__}:ray_train", {"target": target, "payload": payload})


def ray_train(request: dict[str, Any]) -> None:
    """Run the target on a Ray Train group; runs in the driver process."""
    import ray
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    from components.core.ray_session import ray_session

    # Ray resumes a run of the same name from its own snapshot; our checkpoints decide
    name, storage = f"train-{uuid.uuid4().hex}", settings().home.resolve() / "ray"
    num_workers = settings().num_workers
    with ray_session():
        trainer = TorchTrainer(
            _call,
            train_loop_config=request,
            torch_config=TorchConfig(timeout_s=300),
            scaling_config=ray.train.ScalingConfig(
                num_workers=num_workers,
                use_gpu=ray.cluster_resources().get("GPU", 0) >= num_workers,
            ),
            run_config=ray.train.RunConfig(
                name=name,
                storage_path=str(storage),
                failure_config=ray.train.FailureConfig(max_failures=3),
            ),
        )
        trainer.fit()
    shutil.rmtree(storage / name, ignore_errors=True)


def _call(request: dict[str, Any]) -> None:
    module, function = request["target"].split(":")
    getattr(importlib.import_module(module), function)(request["payload"])
