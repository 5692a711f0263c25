"""What of a model is really smaller: the weights of its linear maps that are in few bits, or zero.

Checkpoints have been published as quantized in which no layer was, so this is read from the files
and never from what was asked for.
"""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from components.core.artifacts.base import Frozen

_FEW_BITS: Final = 8
_NOT_LINEAR = ("embed", "wte", "wpe")  # tables that are looked up


class Coverage(Frozen):
    """The weights of linear maps, the output head among them."""

    num_weights: int
    """All of them."""
    num_small: int
    """Those in 8 bits or fewer, or zero."""
    whole: tuple[str, ...]
    """Names of the maps that are stored in full."""

    @property
    def share(self) -> float:
        """Share that is small, 0 to 1."""
        return self.num_small / self.num_weights if self.num_weights else 0.0


class _Map(NamedTuple):
    name: str
    num_weights: int
    num_small: int


def coverage(folder: Path) -> Coverage:
    """Return what is small in the model in `folder`: an ONNX export, a GGUF file or safetensors.

    Raises:
        ValueError: it holds none of these.
    """
    maps = list(_maps(folder))
    if not maps:
        raise ValueError(f"{folder} has no linear maps in ONNX, GGUF or safetensors.")
    return Coverage(
        num_weights=sum(each.num_weights for each in maps),
        num_small=sum(each.num_small for each in maps),
        whole=tuple(each.name for each in maps if not each.num_small),
    )


def _maps(folder: Path) -> Iterator[_Map]:
    if (folder / "model.onnx").is_file():
        yield from _of_onnx(folder / "model.onnx")
    elif files := sorted(folder.glob("*.gguf")):
        yield from _of_gguf(files[0])
    else:
        for file in sorted(folder.glob("*.safetensors")):
            yield from _of_safetensors(file)


def _of_onnx(file: Path) -> Iterator[_Map]:
    onnx: Any = importlib.import_module("onnx")
    graph = onnx.load(file, load_external_data=False).graph
    sizes = {each.name: list(each.dims) for each in graph.initializer}
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            named = {each.name: each.i for each in node.attribute}
            number = named["K"] * named["N"]
            yield _Map(node.name, number, number if named["bits"] <= _FEW_BITS else 0)
        elif node.op_type in ("MatMul", "Gemm") and node.input[1] in sizes:
            rows, columns = sizes[node.input[1]]
            yield _Map(node.name, rows * columns, 0)


def _of_gguf(file: Path) -> Iterator[_Map]:
    gguf: Any = importlib.import_module("gguf")
    tensors = {each.name: each for each in gguf.GGUFReader(file).tensors}
    is_tied = "output.weight" not in tensors  # then the table is the output head
    for name, tensor in tensors.items():
        if len(tensor.shape) < 2 or (name.startswith("token_embd") and not is_tied):
            continue
        number = int(tensor.n_elements)
        is_small = 8 * tensor.n_bytes / number < _FEW_BITS + 1  # with the scales of its blocks
        yield _Map(name, number, number if is_small else 0)


def _of_safetensors(file: Path) -> Iterator[_Map]:
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as opened:
        for name in opened.keys():  # noqa: SIM118 - it is no dict
            if len(opened.get_slice(name).get_shape()) < 2 or _is_table(name):
                continue
            weights = opened.get_tensor(name)
            yield _Map(name, weights.size, int((weights == 0).sum()))


def _is_table(name: str) -> bool:
    return any(part in name for part in _NOT_LINEAR)


def told(found: Coverage) -> str:
    """Return it as JSON, for a report."""
    return json.dumps({**found.model_dump(), "share": found.share}, indent=2)
