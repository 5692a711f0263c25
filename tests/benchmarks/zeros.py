"""What zeros save: bytes after compression, and seconds in the runtimes that decode.

    python -m tests.benchmarks.zeros DENSE PRUNED [SHRUNK]

The folders hold models of one kind. ONNX Runtime decodes their int8 exports in turns; OpenVINO
multiplies int8 matrices of rising sparsity, with and without its sparse weights.
"""

import statistics
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from components.compress.export import export_int8
from components.lib.inference.decode_speed import decode_tokens_per_second
from components.lib.inference.onnx_model import OnnxModel
from components.lib.models.folders import load_model, load_tokenizer
from components.lib.models.sparsity import sparsity_of
from tests.benchmarks.table import say
from tests.benchmarks.work import num_threads

_BLOCK = 1 << 20
_PROMPT = "The state of the Union"
_SIZE, _LAYERS, _TURNS = 2048, 6, 60  # of the products that OpenVINO computes


def compressed(file: Path) -> int:
    """Return the bytes of a file after zlib at level 6."""
    packer, size = zlib.compressobj(6), 0
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            size += len(packer.compress(block))
    return size + len(packer.flush())


def decoding(folders: list[Path], work: Path) -> list[str]:
    """Return a line a model: its zeros, its bytes and how fast its int8 export decodes."""
    exports = [work / f"{number}" for number in range(len(folders))]
    for folder, export in zip(folders, exports, strict=True):
        export_int8(folder, export)
    models = [OnnxModel(export, num_threads=num_threads()) for export in exports]
    prompt = load_tokenizer(folders[0]).encode(_PROMPT, add_special_tokens=False)
    speeds = decode_tokens_per_second(models, prompt)
    lines: list[str] = []
    for folder, export, speed in zip(folders, exports, speeds, strict=True):
        zeros = statistics.fmean(sparsity_of(load_model(folder)).values())
        weights, small = folder / "model.safetensors", export / "model.onnx.data"
        lines.append(
            f"{folder.name}: {zeros:.0%} zeros, float32 {weights.stat().st_size / 1e6:.0f} MB "
            f"({compressed(weights) / 1e6:.0f} zipped), int8 {small.stat().st_size / 1e6:.0f} MB "
            f"({compressed(small) / 1e6:.0f} zipped), decodes {speed / speeds[0]:.2f} x the first"
        )
    return lines


def _products(openvino: Any, zeros: float) -> Any:
    """Return a graph of int8 products in a row, weights and activations quantized."""
    from openvino import opset13 as op

    random = np.random.default_rng(0)
    given = op.parameter([-1, _SIZE], np.float32)
    low, high = op.constant(np.float32(-4)), op.constant(np.float32(4))
    made = given
    for _ in range(_LAYERS):
        weight = random.integers(-127, 128, (_SIZE, _SIZE)).astype(np.int8)
        weight[random.random(weight.shape) < zeros] = 0
        scale = op.constant(np.full((_SIZE, 1), 1 / 2000, np.float32))
        scaled = op.multiply(op.convert(op.constant(weight), np.float32), scale)
        rounded = op.fake_quantize(made, low, high, low, high, 256)
        made = op.matmul(rounded, scaled, False, True)
    return openvino.Model([op.result(made)], [given], "products")


def openvino_products() -> list[str]:
    """Return a line a sparsity: the time with sparse weights allowed, of that without."""
    try:
        import openvino
    except ImportError:
        return ["OpenVINO is not installed."]
    core, requests = openvino.Core(), {}
    for zeros in (0.0, 0.5, 0.9):
        for rate in (1.0, 0.4):  # 1.0 switches the feature off
            options = {"INFERENCE_NUM_THREADS": 1, "CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE": rate}
            compiled = core.compile_model(_products(openvino, zeros), "CPU", options)
            requests[zeros, rate] = compiled.create_infer_request()
    row = np.ones((1, _SIZE), np.float32)
    seconds: dict[tuple[float, float], list[float]] = {key: [] for key in requests}
    for _ in range(_TURNS):
        for key, request in requests.items():
            start = time.perf_counter()
            request.infer({0: row})
            seconds[key].append(time.perf_counter() - start)
    return [
        f"OpenVINO, {zeros:.0%} zeros: sparse weights take "
        f"{min(seconds[zeros, 0.4]) / min(seconds[zeros, 1.0]):.2f} of the time without, "
        f"{min(seconds[zeros, 0.4]) / min(seconds[0.0, 1.0]):.2f} of that of dense ones"
        for zeros in (0.0, 0.5, 0.9)
    ]


def main(folders: list[str]) -> None:
    """Print what was found."""
    if len(folders) < 2:
        raise SystemExit("python -m tests.benchmarks.zeros DENSE PRUNED [SHRUNK]")
    with tempfile.TemporaryDirectory() as work:
        lines = decoding([Path(folder) for folder in folders], Path(work))
    for line in [*lines, *openvino_products()]:
        say(line)


if __name__ == "__main__":
    main(sys.argv[1:])
