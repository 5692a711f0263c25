"""What of a machine makes one recipe give other numbers: processor, threads, accelerators.

The kernels of torch and of its libraries are chosen by the processor's features, and they add up in
other orders. So two machines may train other weights of one recipe; one machine gives the same.
"""

import platform
from collections import Counter
from pathlib import Path

from components.core.accelerators import accelerators
from components.core.artifacts.base import Frozen
from components.core.settings import settings

_CPUINFO = Path("/proc/cpuinfo")
_FEATURES = (  # on x86, then on Arm
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("avx_vnni", "amx_bf16", "amx_int8"),
    *("asimd", "sve", "sve2", "bf16", "i8mm"),
)


class Machine(Frozen):
    """The machine that a result was made on; of a Ray cluster, the one that led the work."""

    processor: str
    """Model of the CPU, as the system names it."""
    features: tuple[str, ...]
    """Of its instruction sets, those that kernels are chosen by."""
    threads: int
    """CPU threads of the work, shared by the workers where there are several."""
    workers: int
    """Processes of a data-parallel training."""
    accelerators: tuple[str, ...]
    """Model of each GPU that the process saw."""

    def __str__(self) -> str:
        """Return it as a line for people."""
        gpus = Counter(self.accelerators).items()
        parts = [
            f"{self.processor} ({' '.join(self.features)})",
            f"{self.threads} CPU threads" if self.threads > 1 else "1 CPU thread",
            f"{self.workers} workers" if self.workers > 1 else "1 worker",
            *(f"{number} x {name}" for name, number in gpus),
        ]
        return ", ".join(parts)


def machine(cpuinfo: Path = _CPUINFO) -> Machine:
    """Return the machine of this process, as its settings use it."""
    said = _said(cpuinfo)
    words = set(said.get("flags", said.get("Features", "")).split())
    return Machine(
        processor=said.get("model name") or platform.processor() or platform.machine(),
        features=tuple(feature for feature in _FEATURES if feature in words),
        threads=settings().num_threads,
        workers=settings().num_workers,
        accelerators=accelerators(),
    )


def _said(cpuinfo: Path) -> dict[str, str]:
    """Return what the system says of its first processor."""
    if not cpuinfo.exists():
        return {}
    first = cpuinfo.read_text("utf-8").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
