"""What this process computes on, how precisely, and how fast that could be."""

import ctypes
import os
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)

# mallopt parameters of glibc's <malloc.h>
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def device() -> torch.device:
    """Return the accelerator of this process if there is one, else the CPU.

    Ray Train and torchrun show every process all the GPUs of its machine, and number the processes.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


def move(module: Module) -> Module:
    """Move a module to this process's device and return it."""
    return module.to(device())  # pyright: ignore - transformers wraps `to` in an untyped decorator


def put(array: NDArray[np.generic]) -> Tensor:
    """Return `array` on this process's device; a GPU fetches it while the CPU goes on."""
    tensor = torch.from_numpy(array)
    if not torch.cuda.is_available():
        return tensor
    return tensor.pin_memory().to(device(), non_blocking=True)


def has_bfloat16() -> bool:
    """Return whether this device multiplies bfloat16 matrices in hardware."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast() -> AbstractContextManager[object]:
    """Return a context that computes in bfloat16 where the hardware has it, else in float32."""
    return torch.autocast(device().type, torch.bfloat16) if has_bfloat16() else nullcontext()


def keep_memory() -> None:
    """Make glibc keep freed activations for the next step: a third more tokens a second on CPU."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:  # not glibc: nothing to tune
        return
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    libc.mallopt(_M_TOP_PAD, 64 << 20)


def give_memory_back() -> None:
    """Make glibc give what is free back to the system: else holes between what stays add up."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # not glibc
        return


def measured_peak(repeats: int = 8) -> float:
    """Return the FLOP/s of square matrix products here, in the precision that training uses."""
    size = 8192 if torch.cuda.is_available() else 1024
    dtype = torch.bfloat16 if has_bfloat16() else torch.float32
    left = torch.randn(size, size, device=device(), dtype=dtype)
    torch.mm(left, left)
    _synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        torch.mm(left, left)
    _synchronize()
    return repeats * 2 * size**3 / (time.perf_counter() - start)


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
