"""`make bench`: compare Bloomery with its peers on this machine; `bench.json` keeps the numbers.

`python -m tests.benchmarks PART ...` runs only the parts that are named, of those in `PARTS`.
`BLOOMERY_BENCH_SECONDS`, `_TURNS` and `_THREADS` say how long, how often and on how many threads.
"""

import json
import os
import platform
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from components.core.files import write_json
from components.core.settings import settings
from tests.benchmarks import (
    cached_run,
    chain,
    cleaning,
    dashboard,
    data_size,
    decoding,
    deduplication,
    fine_tuning,
    first_run,
    first_token,
    gpu,
    scaling,
    serving,
    start,
    throughput,
    time_to_loss,
    tokenization,
)
from tests.benchmarks.data import shards
from tests.benchmarks.table import Row, say
from tests.benchmarks.work import Work, num_threads

PARTS = {
    "cached_run": cached_run.run,
    "first_run": first_run.run,
    "chain": chain.run,
    "cleaning": cleaning.run,
    "deduplication": deduplication.run,
    "tokenization": tokenization.run,
    "data_size": data_size.run,
    "first_token": first_token.run,
    "throughput": throughput.run,
    "fine_tuning": fine_tuning.run,
    "time_to_loss": time_to_loss.run,
    "scaling": scaling.run,
    "serving": serving.run,
    "start": start.run,
    "decoding": decoding.run,
    "dashboard": dashboard.run,
    "gpu": gpu.run,
}
_PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "trl",
    "peft",
    "litgpt",
    "lightning",
    "tokenizers",
    "fastokens",
    "datatrove",
    "rensa",
    "numpy",
    "onnxruntime",
    "onnxruntime-genai",
    "xllamacpp",
)
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")


def main(names: list[str]) -> None:
    """Run the parts that are named, else all."""
    if unknown := set(names) - set(PARTS):
        raise SystemExit(f"No part {sorted(unknown)}. There are: {', '.join(PARTS)}.")
    home = settings().home.resolve() / "bench"
    home.mkdir(parents=True, exist_ok=True)
    work = Work(shards=shards(Work.model_fields["vocab_size"].default), out=home)
    for name in names or PARTS:
        with tempfile.TemporaryDirectory(dir=home, prefix=f"{name}_") as folder:
            rows = PARTS[name](work.model_copy(update={"out": Path(folder)}))
        _keep(name, rows, settings().home.resolve() / "bench.json")


def machine() -> dict[str, str | int | list[str] | dict[str, str]]:
    """Return what the numbers depend on; nothing that says whose machine it is."""
    cpu = Path("/proc/cpuinfo")
    fields = [line.split(":", 1) for line in cpu.read_text().splitlines()] if cpu.exists() else []
    info = {field[0].strip(): field[1].strip() for field in fields if len(field) == 2}
    flags = info.get("flags", info.get("Features", "")).split()
    return {
        "cpu": info.get("model name", platform.machine()),
        "cores": os.cpu_count() or 1,
        "flags": [flag for flag in _FLAGS if flag in flags],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "threads": num_threads(),
        "python": platform.python_version(),
        "packages": _versions(),
    }


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _keep(name: str, rows: list[Row], file: Path) -> None:
    """Add the rows of a part to the file; those of another machine are thrown away."""
    kept = json.loads(file.read_text("utf-8")) if file.exists() else {}
    if kept.get("machine") != machine():
        kept = {"machine": machine(), "parts": {}}
    kept["parts"][name] = rows
    write_json(file, kept)
    say(f"kept in {file.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
