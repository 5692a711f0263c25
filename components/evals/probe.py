"""Probe: any model -> the same few numbers, taken after every stage.

The probe is frozen: the same held-out text, instructions and prompts each time, so that what a
stage gained or damaged is the difference of two reports.
"""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import EvaluationSets, TokenShards
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.artifacts.reports import HeldOutText, Interval, ProbeReport
from components.core.component import Component
from components.core.files import write_json
from components.core.settings import settings

if TYPE_CHECKING:
    import numpy as np

    from components.lib.inference.onnx_model import OnnxModel
    from components.lib.inference.torch_model import TorchModel

_PROMPTS = (
    "The state of the Union is",
    "I recommend to the Congress",
    "Our relations with foreign nations",
    "Return the",
)


class ProbeInputs(Frozen):
    """What `Probe` reads."""

    model: Checkpoint | CompressedModel
    """The model to measure."""
    shards: TokenShards
    """Held-out text in its `test` split."""
    evaluation: EvaluationSets
    """Held-out micro-tasks, in its `test.jsonl`."""
    held_out: HeldOutText = HeldOutText()
    """Which held-out text it is measured on."""


class Probe(Component[ProbeInputs, ProbeReport]):
    """Measure bits per byte on held-out text and accuracy on held-out micro-tasks.

    Writes `report.json`: the numbers, the outcome of each micro-task with the model's answer, and
    what the model makes of a fixed set of beginnings.
    """

    version: ClassVar[str] = "2.0.0"

    num_instructions: int = Field(default=480, ge=1)
    """Held-out micro-tasks, the same number of each kind and level."""
    num_resamples: int = Field(default=2000, ge=100)
    """Bootstrap resamples that give the interval of the accuracy."""
    seed: int = 0
    """Seed of the bootstrap."""

    def run(self, inputs: ProbeInputs, out: Path) -> ProbeReport:
        """Measure the model and write `report.json`."""
        import numpy as np

        from components.lib.inference.answers import answers
        from components.lib.inference.held_out import HeldOut
        from components.lib.models.folders import load_tokenizer
        from components.lib.tasks.microtasks import is_correct, read_microtasks, take_evenly
        from components.lib.text.chat import decode, encode_text

        model = open_model(inputs.model)
        tokenizer = load_tokenizer(inputs.model.path)
        held_out = HeldOut.of(inputs.shards, inputs.held_out)
        all_tasks = read_microtasks(inputs.evaluation.path / "test.jsonl")
        tasks = take_evenly(all_tasks, self.num_instructions)
        given = answers(model, tokenizer, tasks)
        right = np.array([is_correct(t, a) for t, a in zip(tasks, given, strict=True)], float)
        kinds = np.array([task.task for task in tasks])
        beginnings = [encode_text(tokenizer, text) for text in _PROMPTS]
        completions = [decode(tokenizer, row) for row in model.generate(beginnings, 32)]

        report = ProbeReport(
            path=out,
            model=inputs.model.fingerprint,
            bits_per_byte=held_out.bits_per_byte(model),
            accuracy=float(right.mean()),
            accuracy_interval=self._interval(right),
            accuracy_by_task={str(k): float(right[kinds == k].mean()) for k in np.unique(kinds)},
        )
        items = [
            {**task.model_dump(include={"id", "prompt", "answer"}), "given": text, "right": bool(r)}
            for task, text, r in zip(tasks, given, right, strict=True)
        ]
        samples = dict(zip(_PROMPTS, completions, strict=True))
        numbers = report.model_dump(mode="json", exclude={"path", "fingerprint"})
        write_json(out / "report.json", {**numbers, "completions": samples, "items": items})
        return report

    def _interval(self, right: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Interval:
        """Return the 95 % percentile interval of the mean (Efron and Tibshirani 1993, ch. 13)."""
        import numpy as np

        random = np.random.default_rng(self.seed)
        draws = random.integers(len(right), size=(self.num_resamples, len(right)))
        low, high = np.percentile(right[draws].mean(axis=1), [2.5, 97.5])
        return Interval(low=float(low), high=float(high))


def open_model(model: Checkpoint | CompressedModel) -> "TorchModel | OnnxModel":
    """Load a model with the interface that measurements use."""
    if isinstance(model, CompressedModel):
        from components.lib.inference.onnx_model import OnnxModel

        return OnnxModel(model.path, num_threads=settings().num_threads)
    import torch

    from components.lib.inference.torch_model import TorchModel
    from components.lib.models.folders import load_model

    torch.set_num_threads(settings().num_threads)
    return TorchModel(load_model(model.path))
