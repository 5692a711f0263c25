"""Decoding at batch 1: our exports in ONNX Runtime beside llama.cpp and transformers, in turns.

`BLOOMERY_BENCH_MODEL` is the folder of a model in Hugging Face layout, such as SmolLM2-135M's.
llama.cpp is the prebuilt wheel of xllamacpp, which uses AVX2 and no more.
"""

import os
from pathlib import Path

from components.compress.export import Scheme, export_onnx
from components.compress.gguf.export import export_gguf
from components.core.files import size_of
from components.lib.inference.decode_speed import decode_tokens_per_second
from components.lib.inference.language_model import LanguageModel
from components.lib.inference.llama.gguf_model import LlamaCppModel
from components.lib.inference.onnx_model import OnnxModel
from components.lib.inference.torch_model import TorchModel
from components.lib.models.folders import load_model, load_tokenizer
from tests.benchmarks.table import Row, say, show
from tests.benchmarks.work import Work, num_threads

_PROMPT = "The state of the Union"
_PEER = {"ONNX int8": "llama.cpp Q8_0", "ONNX int4": "llama.cpp Q4_0"}


def run(work: Work) -> list[Row]:
    """Export a model four times, decode with each in turns; return tokens per second and ratios."""
    place = os.environ.get("BLOOMERY_BENCH_MODEL")
    if place is None or not Path(place).is_dir():
        say("decoding: left out, BLOOMERY_BENCH_MODEL names no folder of a model")
        return []
    source = Path(place)
    models = _models(source, work.out)
    prompt = load_tokenizer(source).encode(_PROMPT, add_special_tokens=False)
    speeds = dict(zip(models, decode_tokens_per_second(list(models.values()), prompt), strict=True))
    rows: list[Row] = []
    for name, speed in speeds.items():
        row: Row = {"runtime": name, "tokens_per_second": round(speed, 1)}
        row["x_transformers"] = round(speed / speeds["transformers float32"], 2)
        if peer := _PEER.get(name):
            row["x_llama.cpp"] = round(speed / speeds[peer], 2)
        rows.append(row)
    show(f"Decoding at batch 1, {num_threads()} threads", rows)
    return rows


def _models(source: Path, out: Path) -> dict[str, LanguageModel]:
    threads = num_threads()
    made: dict[str, LanguageModel] = {"transformers float32": TorchModel(load_model(source))}
    for bits in (8, 4):
        folder = out / f"int{bits}"
        export_onnx(source, folder, Scheme(bits))
        say(f"int{bits}: {size_of(folder, '*.onnx*'):,} bytes")
        made[f"ONNX int{bits}"] = OnnxModel(folder, threads)
    for kind in ("q8_0", "q4_0"):
        file = out / f"{kind}.gguf"
        export_gguf(source, file, kind)
        say(f"{kind}: {file.stat().st_size:,} bytes")
        made[f"llama.cpp {kind.upper()}"] = LlamaCppModel(file, threads)
    return made
