"""What `bloomery doctor` says: what is installed, what this machine has, and what is up."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil
from packaging.requirements import Requirement

from components.core.servers.databases import (
    hidden,
    mlflow_database,
    prefect_database,
    refuse_dead_databases,
)
from components.core.servers.endpoints import running_servers
from components.core.settings import settings
from components.core.tracking.moved import elsewhere, mend
from components.data.repository import dataset
from infra.ports import port_holder

_CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
_SHOWN = ("prefect", "mlflow", "ray", "dvc", "torch", "transformers", "onnxruntime")
_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # /proc/cpuinfo on x86 and on Arm
_GIB = 1 << 30


def findings() -> dict[str, Any]:
    """Return what was found on this machine, as JSON values; takes about a second."""
    memory = psutil.virtual_memory()
    return {
        "python": platform.python_version(),
        "packages": {name: _installed(name) or "missing" for name in _SHOWN},
        "constraints": _constraints(_CONSTRAINTS),
        "cores": _cores(),
        "memory": f"{memory.available / _GIB:.1f} GiB free of {memory.total / _GIB:.1f}",
        "disk": f"{_disk_free(settings().home) / _GIB:.1f} GiB free under {settings().home}",
        "gpu": _gpus() or "none",
        "bfloat16": _bfloat16(),
        "home": str(settings().home.resolve()),
        "moved": _moved(),
        "data": _data(),
        "servers": _servers(),
        "stores": _stores(),
    }


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _constraints(file: Path) -> str | dict[str, str]:
    """Return what is installed otherwise than tested, by package; what is missing is not named."""
    if not file.is_file():
        return f"{file} is missing: the tested versions are not known"
    lines = [line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines()]
    wanted = [Requirement(line) for line in lines if line]
    wrong = {
        each.name: f"{found} installed, {each.specifier} tested"
        for each in wanted
        if (found := _installed(each.name)) and not each.specifier.contains(found, prereleases=True)
    }
    return wrong or f"as tested ({len(wanted)} packages)"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _disk_free(home: Path) -> int:
    there = next(folder for folder in (home, *home.resolve().parents) if folder.exists())
    return shutil.disk_usage(there).free


def _gpus() -> list[str]:
    """Return name, memory and compute capability of each GPU of the driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=5, check=False)
    except subprocess.TimeoutExpired:
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def _bfloat16() -> str:
    """Return where bfloat16 is computed in hardware; elsewhere float32 is faster."""
    if any(float(gpu.rpartition(",")[2]) >= 8.0 for gpu in _gpus()):
        return "in hardware (GPU)"
    cpuinfo = Path("/proc/cpuinfo")
    words = set(cpuinfo.read_text("utf-8").split()) if cpuinfo.exists() else set[str]()
    flags = [flag for flag in _BFLOAT16_FLAGS if flag in words]
    return f"in hardware (CPU: {', '.join(flags)})" if flags else "emulated"


def _data() -> str:
    try:
        found = dataset.status(settings().project)
        return f"{found}, data.dvc pins {dataset.revision(settings().project)}"
    except ValueError as error:
        return str(error)


def _moved() -> str:
    """Return whether the home was moved or copied, having mended what still named its old place."""
    try:
        refuse_dead_databases()
        before = elsewhere()
        mend()
        after = elsewhere()
    except ValueError as error:  # a database that does not answer: `stores` says which
        return f"not known: {error}"
    mended = [
        f"{num} places in MLflow's database named {home}: mended"
        for home, num in before.items()
        if home not in after
    ]
    left = [
        f"{num} places in MLflow's database name {home}: what is logged in those experiments goes "
        "there. Name another experiment by BLOOMERY_EXPERIMENT to have it here"
        for home, num in after.items()
    ]
    return "; ".join([*mended, *left]) or "no, all places are in this home"


def _stores() -> dict[str, str]:
    """Return where state is kept, without passwords, and whether the databases answer."""
    home, chosen = settings().home.resolve(), settings()
    try:
        refuse_dead_databases()
        prefect = prefect_database() or f"sqlite:///{home / 'prefect' / 'prefect.db'}"
        databases = {"prefect": hidden(prefect), "mlflow": hidden(mlflow_database())}
    except ValueError as error:
        databases = {"databases": str(error)}
    return {
        **databases,
        "mlflow artifacts": hidden(chosen.mlflow_artifacts or str(home / "mlflow" / "artifacts")),
        "dvc remote": hidden(chosen.dvc_remote or str(home / "dvc-remote")),
        "artifacts": hidden(chosen.artifact_store or str(chosen.artifacts)),
    }


def _servers() -> dict[str, str]:
    """Return the state of each server's port: ours, free, or who holds it."""
    if (servers := running_servers()) is not None:
        return {"prefect": f"up, {servers.prefect}", "mlflow": f"up, {servers.mlflow}"}
    ports = {"prefect": settings().prefect_port, "mlflow": settings().mlflow_port}
    holders = {name: port_holder(port) for name, port in ports.items()}
    return {
        name: f"down, port {ports[name]} is " + (f"taken by {holder}" if holder else "free")
        for name, holder in holders.items()
    }
