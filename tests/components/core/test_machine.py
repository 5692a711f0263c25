"""The machine as the kernel tells it."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from components.core.machine import machine
from components.core.settings import settings

ROOT = Path(__file__).parents[3]

_X86 = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8481C
flags\t\t: fpu sse2 avx2 fma avx512f avx512_bf16 amx_bf16 amx_tile

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
_ARM = """processor\t: 0
BogoMIPS\t: 2000.00
Features\t: fp asimd sve bf16 i8mm
CPU implementer\t: 0x41
"""


def _cpuinfo(folder: Path, text: str) -> Path:
    file = folder / "cpuinfo"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_processor_is_named_with_the_features_that_choose_kernels(tmp_path):
    found = machine(_cpuinfo(tmp_path, _X86))
    assert found.processor == "Intel(R) Xeon(R) Platinum 8481C"
    assert found.features == ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")


def test_an_arm_processor_and_a_system_that_says_nothing_have_a_name_too(tmp_path):
    arm = machine(_cpuinfo(tmp_path, _ARM))
    assert arm.features == ("asimd", "sve", "bf16", "i8mm")
    assert arm.processor
    silent = machine(tmp_path / "missing")
    assert silent.features == ()
    assert silent.processor


def test_this_machine_has_the_features_that_torch_finds():
    capabilities = torch.cpu.get_capabilities()
    found = machine().features
    names = {"avx512f": "avx512_f", "fma": "fma3"}
    for feature in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16"):
        expected = bool(capabilities.get(names.get(feature, feature)))
        assert (feature in found) == expected, feature


def test_threads_and_workers_are_those_of_the_settings(monkeypatch):
    monkeypatch.setenv("BLOOMERY_NUM_THREADS", "6")
    monkeypatch.setenv("BLOOMERY_NUM_WORKERS", "3")
    settings.cache_clear()
    assert (machine().threads, machine().workers) == (6, 3)
    assert "6 CPU threads, 3 workers" in str(machine())


def test_saying_what_the_machine_is_loads_no_torch():
    code = (
        "import sys; from components.core.machine import machine; machine();"
        "sys.exit('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True)
