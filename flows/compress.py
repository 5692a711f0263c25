"""A model becomes smaller and faster."""

from collections.abc import Iterator

from components.compress.demands import config_problems, export_problems
from components.compress.quantize import Quantize
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.artifacts.reports import Budget
from flows.stage import Base, Prepared, Stage
from flows.step import step


class Int8(Stage):
    """Export to int8 for ONNX Runtime GenAI."""

    budget: Budget = Budget(max_accuracy_loss=0.03, max_bits_per_byte_increase=0.02)
    """What it may cost the model; the gate of the release holds it."""
    quantize: Quantize = Quantize()
    """The export."""

    def apply(self, model: Checkpoint, prepared: Prepared) -> CompressedModel:
        """Export `model`."""
        return step(self.quantize, model)

    def problems(self, base: Base) -> Iterator[str]:
        """Yield what the export would refuse."""
        if (shape := base.shape()) is not None:
            yield from (f"compress: {problem}" for problem in export_problems(shape))
        if (config := base.config()) is not None:
            for problem in config_problems(config):
                yield f"compress: {problem} Leave it out (--set compress=null)."
