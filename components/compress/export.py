"""Export a Hugging Face model to ONNX in 8 or 4 bits: smaller, many times faster to decode.

ONNX Runtime GenAI's model builder writes the graph: every linear layer, and the output head,
becomes a MatMulNBits with weights in blocks, one float32 scale a block. Activations are float32
between operators and quantized to int8 inside them, each row by its own largest value (accuracy
level 4; at level 1, float32 throughout, decoding is slower than the original model).
"""

import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.compress.demands import config_problems
from components.compress.graph_bits import bits_of, check_coverage
from components.compress.rounding import Rounded, read_rounding, set_rounding
from components.lib.inference.onnx_model import OnnxModel

if TYPE_CHECKING:
    import onnx_ir

logger = logging.getLogger(__name__)

ZERO_POINT: Final = 128
"""Symmetric 8-bit weights are stored as uint8: weight = (stored - 128) * scale."""

INLINE_BYTES: Final = 256
"""Smaller tensors stay in model.onnx: ONNX Runtime wants the shapes of a Reshape there."""

_ALGORITHMS: Final = {"nearest": "default", "k_quant": "k_quant"}  # the builder's names
_FINAL_NORM: Final = "/final_norm_layernorm/SkipLayerNorm"


Bits = Literal[4, 8]
Rounding = Literal["nearest", "k_quant"]


class Scheme(NamedTuple):
    """How weights become integers."""

    bits: Bits = 8
    """Of a weight. At 4 the output head stays at 8, as does an embedding that is tied to it."""
    block_size: int = 32
    """Weights of a row that share a scale."""
    rounding: Rounding = "nearest"
    """`nearest`: symmetric, round to nearest. `k_quant`: a scale and a zero point, searched for the
    least square error."""


def export_int8(model_folder: Path, out: Path, block_size: int = 32) -> dict[str, int]:
    """Export with 8-bit weights, as `export_onnx` does."""
    return export_onnx(model_folder, out, Scheme(8, block_size))


def export_onnx(model_folder: Path, out: Path, scheme: Scheme) -> dict[str, int]:
    """Write `model.onnx`, `model.onnx.data`, `genai_config.json` and the tokenizer files to `out`.

    Returns the bits of every matrix, by the node that multiplies with it. The same model gives the
    same bytes. Where the folder says how each weight is rounded (`rounding.py`), so it is.
    ValueError if the folder holds no safetensors model, if its config has what `demands` refuses,
    if a matrix is not quantized, or if the export does not load and score.
    """
    if not (model_folder / "config.json").is_file() or not any(model_folder.glob("*.safetensors")):
        raise ValueError(
            f"{model_folder} has no config.json with *.safetensors: write it by save_pretrained"
        )
    config: dict[str, Any] = json.loads((model_folder / "config.json").read_text())
    if problems := config_problems(config):
        raise ValueError(f"{model_folder} cannot be exported. {' '.join(problems)}")
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="export_onnx_") as scratch:
        built = Path(scratch) / "built"
        _run_builder(model_folder.resolve(), built, Path(scratch) / "cache", scheme)
        bits = _write_model(built, out, _window(config), scheme, read_rounding(model_folder))
        for file in built.iterdir():
            if file.name not in ("model.onnx", "model.onnx.data"):
                shutil.copyfile(file, out / file.name)
    _check_export(out)
    return bits


def _run_builder(model_folder: Path, built: Path, cache: Path, scheme: Scheme) -> None:
    """In its own process: on import the builder sets up the root logger and adds to `sys.path`."""
    options = ["hf_token=false", "hf_remote=false", "accuracy_level=4"]
    options += [f"block_size={scheme.block_size}", f"algo_config={_ALGORITHMS[scheme.rounding]}"]
    if scheme.bits < 8:  # it would let the embedding read a matrix that this head does not have
        options += ["matmul_mixed_precision=last_matmul:int8", "shared_embeddings=false"]
    # A cache that is cut to a window has no place for a whole text read at once, as scoring does.
    options += ["windowed_kv_cache=false"]
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    command += ["-i", str(model_folder), "-o", str(built), "-c", str(cache)]
    command += ["-p", f"int{scheme.bits}", "-e", "cpu", "--extra_options", *options]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(
        command, cwd=cache.parent, env=offline, capture_output=True, text=True, check=False
    )
    logger.debug("model builder: %s%s", done.stdout, done.stderr)
    if done.returncode != 0:
        raise ValueError(
            f"the ONNX model builder refused {model_folder} (exit {done.returncode}). "
            f"It said:\n{done.stderr[-2000:]}"
        )


def _window(config: dict[str, Any]) -> int | None:
    """Return the window of a Mistral model, whose config names no kind of attention by layer."""
    is_mistral = config["architectures"] == ["MistralForCausalLM"]
    return config.get("sliding_window") if is_mistral and "layer_types" not in config else None


def _write_model(
    built: Path, out: Path, window: int | None, scheme: Scheme, rounding: "Rounded | None"
) -> dict[str, int]:
    """Mend the graph, check that every matrix is quantized, save it to `out`."""
    ir: Any = importlib.import_module("onnx_ir")  # its load and save are not fully typed
    model: onnx_ir.Model = ir.load(built / "model.onnx")
    _share_embedding(model.graph)
    _read_final_norm(model.graph)
    bits = bits_of(model.graph)
    check_coverage(bits, scheme.bits)
    if rounding is not None:
        set_rounding(model.graph, rounding, scheme.bits, scheme.block_size)
    if window is not None:
        _slide(model.graph, window)
    for name in ("model.onnx", "model.onnx.data"):
        (out / name).unlink(missing_ok=True)
    ir.save(
        model,
        out / "model.onnx",
        external_data="model.onnx.data",
        size_threshold_bytes=INLINE_BYTES,
    )
    return bits


def _read_final_norm(graph: "onnx_ir.Graph") -> None:
    """Let the output head read what the final norm writes.

    The builder takes the first linear layer with as many outputs as the vocabulary has tokens for
    the head: a feed-forward network that happens to be so wide, say, and then computes from there.
    """
    head = _node(graph, "/lm_head/MatMul_Q8")
    (norm,) = [node for node in graph if (node.name or "").endswith(_FINAL_NORM)]
    if head.inputs[0] is not norm.outputs[0]:
        head.replace_input_with(0, norm.outputs[0])
        graph.sort()  # the head stands before the norm


def _slide(graph: "onnx_ir.Graph", window: int) -> None:
    """Let every layer attend to the last `window` tokens: the builder writes -1, all of them."""
    import onnx_ir

    for node in graph:
        if node.op_type == "GroupQueryAttention":
            node.attributes["local_window_size"] = onnx_ir.AttrInt64("local_window_size", window)


def _share_embedding(graph: "onnx_ir.Graph") -> None:
    """Let a tied embedding read its rows from the output head's 8-bit weights.

    The builder does so at 4 bits only, and at 8 writes the embedding a second time, in float32 (at
    5 M parameters and a vocabulary of 4,096: 40 % of the file). An untied embedding stays as it is.
    """
    import onnx_ir

    gather = _node(graph, "/model/embed_tokens/Gather")
    head = _node(graph, "/lm_head/MatMul_Q8")
    embedding, ids = gather.inputs[0], gather.inputs[1]
    weights, *quantizers = head.inputs[1:4]  # scales, and zero points where they are not symmetric
    assert embedding is not None
    assert weights is not None
    if not _is_same_matrix(_array(embedding), _array(weights), *map(_array, quantizers)):
        return
    vocabulary, num_blocks, block_size = _array(weights).shape
    rows = onnx_ir.tensor(np.array([vocabulary, num_blocks * block_size]), name="embedding_shape")
    shape = onnx_ir.Value(name=rows.name, const_value=rows)
    graph.register_initializer(shape)
    reshape = onnx_ir.node("Reshape", [weights, shape], name="/model/embed_tokens/Reshape")
    lookup = onnx_ir.node(
        "GatherBlockQuantized",
        [reshape.outputs[0], ids, *quantizers],
        domain="com.microsoft",
        attributes={"bits": 8, "block_size": block_size, "gather_axis": 0, "quantize_axis": 1},
        name="/model/embed_tokens/GatherBlockQuantized",
    )
    onnx_ir.convenience.replace_nodes_and_values(
        graph, gather, [gather], [reshape, lookup], gather.outputs, lookup.outputs
    )
    assert embedding.name is not None
    assert not embedding.uses(), "another node reads the float32 embedding"
    graph.initializers.pop(embedding.name)


def _is_same_matrix(
    embedding: NDArray[Any],
    stored: NDArray[Any],
    scales: NDArray[Any],
    zeros: NDArray[Any] | int = ZERO_POINT,
) -> bool:
    """Whether the head's weights are the embedding, to a step and a half of their quantization.

    The k-quants' search clips the largest of a block by more than one: 1.27 on SmolLM2's head.
    embedding (V, width), stored uint8 (V, blocks, size), scales (V, blocks), zeros uint8, as many
    as scales. Asked of the numbers, not of the config: a wrong `tie_word_embeddings` would export
    a broken model. A width that is no multiple of a block has padded rows and is not shared.
    """
    if embedding.shape != (stored.shape[0], stored.shape[1] * stored.shape[2]):
        return False
    steps = scales.reshape(*stored.shape[:2], 1)
    zero = np.asarray(zeros, np.float32).reshape(-1, stored.shape[1] if np.ndim(zeros) else 1, 1)
    error = (stored.astype(np.float32) - zero) * steps - embedding.reshape(stored.shape)
    return bool((np.abs(error) <= 1.5 * np.abs(steps)).all())


def _node(graph: "onnx_ir.Graph", name: str) -> "onnx_ir.Node":
    found = [node for node in graph if node.name == name]
    if len(found) != 1:
        raise ValueError(
            f"the graph has {len(found)} nodes {name}: install the versions of constraints.txt"
        )
    return found[0]


def _array(value: "onnx_ir.Value | None") -> NDArray[Any]:
    assert value is not None
    assert value.const_value is not None, f"{value.name} is no initializer"
    return value.const_value.numpy()


def _check_export(out: Path) -> None:
    """Both runtimes load it, and its numbers are numbers."""
    model = OnnxModel(out, num_threads=1)
    nats = model.negative_log_likelihood(np.zeros((1, 3), np.int64))
    model.generate([[0, 0]], max_new_tokens=1)
    if not np.isfinite(nats).all():
        raise ValueError(
            f"the export of {out} scores {nats.tolist()}: check the model it was made from for NaN"
        )
    sizes = {file.name: file.stat().st_size for file in sorted(out.iterdir())}
    logger.info("exported to %s, bytes: %s", out, json.dumps(sizes))
