"""Is every matrix of an exported graph quantized, and to how many bits."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir

HEAD = "/lm_head/"


def bits_of(graph: "onnx_ir.Graph") -> dict[str, int]:
    """Return the bits of each matrix that a graph multiplies with, by its node; 32 if float32."""
    found: dict[str, int] = {}
    for node in graph:
        name = node.name or str(node)
        if node.op_type == "MatMulNBits":
            found[name] = node.attributes["bits"].as_int()
        elif node.op_type in ("MatMul", "Gemm"):
            found[name] = 32
    return found


def check_coverage(bits: dict[str, int], wanted: int) -> None:
    """Check that each matrix has the `wanted` bits, the output head 8.

    Raises:
        ValueError: one has others, or there is none.
    """
    wrong = [f"{name} ({has})" for name, has in bits.items() if has != _due(name, wanted)]
    if wrong or not bits:
        raise ValueError(
            f"Not every matrix has {wanted} bits: {', '.join(wrong) or 'there is none'}. Install "
            "the versions of constraints.txt."
        )


def _due(name: str, wanted: int) -> int:
    return 8 if name.startswith(HEAD) else wanted
