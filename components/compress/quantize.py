"""Quantize: a model -> its int8 or int4 export, smaller on disk and faster to decode on a CPU."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from components.compress.export import Bits, Rounding, Scheme
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.component import Component
from components.core.files import size_of
from components.core.settings import settings

if TYPE_CHECKING:
    from components.lib.inference.held_out import Scorer
    from components.lib.inference.onnx_model import OnnxModel

_MAX_DISAGREEMENT = {8: 0.05, 4: 0.2}  # of the nats a token; 8-bit weights give a hundredth
_MOST_TOKENS = 1024  # of a sequence of the check
_PROMPT = "The state of the Union"  # decoded to measure speed; any beginning of running text does


class Quantize(Component[Checkpoint, CompressedModel]):
    """Export to ONNX with 8- or 4-bit weights and measure the export itself against the original.

    Writes `model.onnx`, `model.onnx.data`, `genai_config.json` and the tokenizer.
    """

    version: ClassVar[str] = "1.4.2"

    bits: Bits = 8
    """Of a weight. At 4 the output head, and an embedding tied to it, stays at 8."""
    rounding: Rounding = "nearest"
    """`nearest`: symmetric. `k_quant`: a scale and a zero point for each block, searched for the
    least square error. A model that was calibrated says itself how its weights are rounded."""
    block_size: Literal[32, 64, 128] = 32
    """Weights that share a scale. 64 and 128 save 5 and 6 % of the bytes, for 1.2 and 1.5 times
    the KL divergence from the float32 model (random weights, 5 M parameters)."""

    def run(self, inputs: Checkpoint, out: Path) -> CompressedModel:
        """Export into `out`, then decode with both models in turns."""
        import torch

        from components.compress.export import export_onnx
        from components.lib.inference.decode_speed import decode_tokens_per_second
        from components.lib.inference.onnx_model import OnnxModel
        from components.lib.inference.torch_model import TorchModel
        from components.lib.models.folders import load_model, load_tokenizer

        torch.set_num_threads(settings().num_threads)
        scheme = Scheme(self.bits, self.block_size, self.rounding)
        bits = export_onnx(inputs.path, out, scheme)
        original = TorchModel(load_model(inputs.path))
        exported = OnnxModel(out, num_threads=settings().num_threads)
        prompt = load_tokenizer(out).encode(_PROMPT, add_special_tokens=False)
        _check_agreement(original, exported, self.bits)
        before, after = decode_tokens_per_second([original, exported], prompt)
        return CompressedModel(
            path=out,
            num_parameters=inputs.num_parameters,
            bytes_on_disk=size_of(out, "*.onnx*"),
            decode_tokens_per_second=after,
            original_bytes_on_disk=inputs.bytes_on_disk,
            original_decode_tokens_per_second=before,
            bits=bits,
        )


def _check_agreement(original: "Scorer", exported: "OnnxModel", bits: Bits) -> None:
    """Check on random tokens, as many as the context holds, that the export computes the model.

    The builder has written graphs that load, run and compute something else: see `export.py`.
    """
    import numpy as np

    length = min(exported.context_length, _MOST_TOKENS) + 1
    ids = np.random.default_rng(0).integers(exported.vocab_size, size=(2, length))
    before = original.negative_log_likelihood(ids)
    after = exported.negative_log_likelihood(ids)
    disagreement = float(np.abs(after - before).mean())
    if not disagreement <= _MAX_DISAGREEMENT[bits] * before.mean():
        raise ValueError(
            f"The int{bits} export does not compute what the model does: its nats differ by "
            f"{disagreement:.3f} a token on random ids, of {before.mean():.3f}. Try another "
            "block_size, 8 bits, or train a model of another architecture."
        )
