"""How the weights of a model are to be rounded, where that was decided by calibration.

Beside the float weights of such a model lies `rounding.bin`, in the form of safetensors: of each
matrix the integers and the scales that its float weights are products of. An exporter that rounded
anew would choose other scales, so it is told these.
"""

# R = rows, C = columns of a matrix, B = blocks of a row

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx_ir

ROUNDING_FILE: Final = "rounding.bin"
BLOCK: Final = 32
BITS: Final = 4
ZERO: Final = 8
"""A stored 4-bit weight s stands for (s - 8) * scale."""

_INTEGERS, _SCALES = ".integers", ".scales"


class Rounded(NamedTuple):
    """The matrices of a model by the name of their weight."""

    integers: dict[str, NDArray[np.uint8]]
    """(R, C), 0 to 15."""
    scales: dict[str, NDArray[np.float32]]
    """(R, B)."""


def write_rounding(folder: Path, rounded: Rounded) -> None:
    """Write `rounding.bin`."""
    from safetensors.numpy import save_file

    integers = {name + _INTEGERS: value for name, value in rounded.integers.items()}
    scales = {name + _SCALES: value for name, value in rounded.scales.items()}
    save_file({**integers, **scales}, folder / ROUNDING_FILE)


def read_rounding(folder: Path) -> Rounded | None:
    """Return what `rounding.bin` says, None if a model has none."""
    if not (folder / ROUNDING_FILE).is_file():
        return None
    from safetensors.numpy import load_file

    found: dict[str, Any] = load_file(folder / ROUNDING_FILE)
    parts = {
        ending: {k.removesuffix(ending): v for k, v in found.items() if k.endswith(ending)}
        for ending in (_INTEGERS, _SCALES)
    }
    return Rounded(parts[_INTEGERS], parts[_SCALES])


def set_rounding(graph: "onnx_ir.Graph", rounded: Rounded, bits: int, block_size: int) -> None:
    """Give the matrices of a graph these integers and scales.

    Raises:
        ValueError: the export has other bits or blocks, or a matrix is not found.
    """
    if (bits, block_size) != (BITS, BLOCK):
        raise ValueError(
            f"The model is rounded to {BITS} bits in blocks of {BLOCK}, and the export asks for "
            f"{bits} in blocks of {block_size}: export with bits={BITS} and block_size={BLOCK}."
        )
    for node in graph:
        if node.op_type != "MatMulNBits" or node.attributes["bits"].as_int() != BITS:
            continue
        names = _weights_of(node.name or "")
        if missing := [name for name in names if name not in rounded.integers]:
            raise ValueError(f"rounding.bin lacks {missing}: calibrate the model again.")
        if len(node.inputs) > 3 and node.inputs[3] is not None:
            raise ValueError("The model is rounded without zero points: export by 'nearest'.")
        integers = np.concatenate([rounded.integers[name] for name in names])
        scales = np.concatenate([rounded.scales[name] for name in names])
        _set(node.inputs[1], packed(integers))
        _set(node.inputs[2], scales)


def packed(integers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return integers (R, C) as MatMulNBits has them: (R, B, 16), the even ones in low halves."""
    pairs = integers.reshape(len(integers), -1, BLOCK // 2, 2)
    return np.bitwise_or(pairs[..., 0], pairs[..., 1] << 4, dtype=np.uint8)


def _weights_of(node: str) -> list[str]:
    """Return the weights that a node multiplies with; queries, keys and values may be one."""
    _, model, layer, kind, name, _ = node.split("/")
    assert model == "model"
    place = f"model.{layer}.{'self_attn' if kind == 'attn' else kind}"
    parts = ["q_proj", "k_proj", "v_proj"] if name == "qkv_proj" else [name]
    return [f"{place}.{part}.weight" for part in parts]


def _set(value: "onnx_ir.Value | None", array: NDArray[Any]) -> None:
    import onnx_ir

    assert value is not None
    assert value.const_value is not None
    before = value.const_value.numpy()
    assert before.size == array.size, (value.name, before.shape, array.shape)
    value.const_value = onnx_ir.tensor(
        array.reshape(before.shape).astype(before.dtype), name=value.name
    )
