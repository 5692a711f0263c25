"""GPUs as NVIDIA's driver tells them, and which of them a process sees."""

from pathlib import Path

import pytest

from components.core.accelerators import accelerators

_MODELS = ("NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-40GB")


@pytest.fixture
def driver(tmp_path, monkeypatch) -> Path:
    """Return a folder as `/proc/driver/nvidia/gpus` is with two GPUs."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    folder = tmp_path / "gpus"
    for number, model in enumerate(_MODELS):
        gpu = folder / f"0000:0{number}:00.0"
        gpu.mkdir(parents=True)
        (gpu / "information").write_text(
            f"Model: \t\t {model}\nIRQ:   \t\t 30\nGPU UUID: \t GPU-{number}e5a-77\n"
            "Bus Type: \t PCIe\n",
            encoding="utf-8",
        )
    return folder


def test_every_gpu_is_named_by_its_model_in_the_order_of_the_bus(driver, tmp_path):
    assert accelerators(driver, tmp_path) == _MODELS
    assert accelerators(tmp_path / "missing", tmp_path) == ()


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("", ()),
        ("-1", ()),
        ("1", _MODELS[1:]),
        ("1,0", _MODELS[::-1]),
        ("0,7,1", _MODELS[:1]),
        ("GPU-1e5a", _MODELS[1:]),
        ("GPU-9", ()),
        ("MIG-4f", ("NVIDIA GPU, a MIG part",)),
    ],
)
def test_only_those_count_that_the_process_may_use(driver, tmp_path, monkeypatch, chosen, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert accelerators(driver, tmp_path) == expected


def test_a_gpu_of_which_a_container_hides_the_model_counts_all_the_same(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert accelerators(tmp_path / "missing", tmp_path) == ("NVIDIA GPU", "NVIDIA GPU")
