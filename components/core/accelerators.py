"""The accelerators that this process may use, named without loading torch."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/gpus")
_DEVICES = Path("/dev")


def accelerators(driver: Path = _DRIVER, devices: Path = _DEVICES) -> tuple[str, ...]:
    """Return the model of each GPU that this process sees, such as `NVIDIA H100 80GB HBM3`.

    Torch is asked only where it already computes on one: the question would take memory there.
    `CUDA_VISIBLE_DEVICES` counts; a GPU of which a container hides the model is `NVIDIA GPU`.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return tuple(map(torch.cuda.get_device_name, range(torch.cuda.device_count())))
    found = [_described(file) for file in sorted(driver.glob("*/information"))]
    num_hidden = len(list(devices.glob("nvidia[0-9]*"))) - len(found)
    found += [("NVIDIA GPU", "")] * num_hidden
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(name for name, _ in found) if chosen is None else tuple(_visible(found, chosen))


def _described(information: Path) -> tuple[str, str]:
    """Return model and UUID of a GPU, as the driver's file says them."""
    lines = (line.partition(":") for line in information.read_text("utf-8").splitlines())
    said = {name.strip(): value.strip() for name, _, value in lines}
    return said.get("Model", "NVIDIA GPU"), said.get("GPU UUID", "")


def _visible(found: list[tuple[str, str]], chosen: str) -> Iterator[str]:
    """Yield the models that `CUDA_VISIBLE_DEVICES` chooses: CUDA stops at the first it has not."""
    for entry in map(str.strip, chosen.split(",")):
        if entry.startswith("MIG-"):
            yield "NVIDIA GPU, a MIG part"
            continue
        if entry.isdecimal():
            names = [name for name, _ in found[int(entry) : int(entry) + 1]]
        else:
            names = [name for name, uuid in found if entry and uuid.startswith(entry)]
        if not names:
            return
        yield names[0]
