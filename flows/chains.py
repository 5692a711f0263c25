"""Ways to make a model smaller: chains of steps, which `flows/compress.py` tries and compares."""

from typing import TypeVar

from pydantic import Field

from components.compress.awq import AWQ
from components.compress.calibration.walk import CalibrationInputs
from components.compress.demands import config_problems
from components.compress.distil import Distil, DistilInputs
from components.compress.gguf.demands import gguf_problems
from components.compress.gptq import GPTQ
from components.compress.prune import Prune, PruneInputs
from components.compress.quantize import Quantize
from components.compress.recover import Recover, RecoverInputs
from components.compress.sensitivity import Sensitivity, SensitivityInputs
from components.compress.shrink import Shrink, ShrinkInputs
from components.compress.teacher import TeacherLogits, TeacherLogitsInputs
from components.compress.to_gguf import ToGGUF
from components.continued.train import ContinuedTraining, ContinuedTrainingInputs
from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TeacherScores
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.lib.models.config import raw_config
from components.lib.training.hyperparameters import EpochHyperparameters, Hyperparameters
from flows.stage import Prepared
from flows.step import step

_Trained = TypeVar("_Trained", Distil, Recover, ContinuedTraining)


class Chain(Frozen):
    """A way to make a model smaller: steps in this order, each of which may be left out."""

    method: str = Field(min_length=1, max_length=40)
    """What it is called in tables and pictures."""
    distil: Distil | None = None
    """Teach a smaller model; the teacher reads each text once, for all students."""
    shrink: Shrink | None = None
    """Leave out layers, heads or neurons."""
    sensitivity: Sensitivity | None = None
    """Measure what each part bears, so that `prune` spreads its zeros by it."""
    prune: Prune | None = None
    """Set weights to zero."""
    recover: Recover | ContinuedTraining | None = None
    """Train on documents: with zeros kept, or a dense model, which has `lora`."""
    awq: AWQ | None = None
    """Scale inputs so that rounding to 4 bits costs less."""
    gptq: GPTQ | None = None
    """Choose the 4-bit integers on text; for an export of 4 bits."""
    export: Quantize | ToGGUF | None = Quantize()
    """Export; null leaves the weights as they are, which can be drawn and not be chosen."""

    def problems(self, model: Checkpoint) -> list[str]:
        """Return why this model cannot go this way, as far as its config says."""
        config = raw_config(model.path)
        if isinstance(self.export, Quantize):
            return config_problems(config)
        if isinstance(self.export, ToGGUF):
            return gguf_problems(config, in_blocks=self.export.quantization not in ("f16", "f32"))
        return []

    def apply(
        self, model: Checkpoint, prepared: Prepared, num_steps: int
    ) -> Checkpoint | CompressedModel:
        """Return the smaller model; a training that says no steps of its own takes `num_steps`.

        Raises:
            ValueError: a step cannot be done with this model or this text.
        """
        shards, vocabulary = prepared.shards, prepared.vocabulary
        if self.distil is not None:
            model = _distilled(_bounded(self.distil, num_steps), model, prepared)
        if self.shrink is not None:
            model = step(self.shrink, ShrinkInputs(model=model, shards=shards))
        if self.prune is not None:
            model = step(self.prune, self._pruned(model, prepared))
        if isinstance(self.recover, Recover):
            zeros = RecoverInputs(model=model, shards=shards, vocabulary=vocabulary)
            model = step(_bounded(self.recover, num_steps), zeros)
        elif self.recover is not None:
            dense = ContinuedTrainingInputs(model=model, shards=shards, vocabulary=vocabulary)
            model = step(_bounded(self.recover, num_steps), dense)
        for calibration in filter(None, (self.awq, self.gptq)):
            model = step(calibration, CalibrationInputs(model=model, shards=shards))
        if isinstance(self.export, Quantize):
            return step(self.export, model)
        return model if self.export is None else step(self.export, model)

    def _pruned(self, model: Checkpoint, prepared: Prepared) -> PruneInputs:
        shards, found = prepared.shards, None
        if self.sensitivity is not None:
            found = step(self.sensitivity, SensitivityInputs(model=model, shards=shards))
        return PruneInputs(model=model, shards=shards, sensitivity=found)


def usual() -> tuple[Chain, ...]:
    """Return ways that are worth a try for most models, the quickest first."""
    half, quarter = Distil(), Shrink(neurons=0.25)
    pairs, recover = Prune(pattern="2:4"), Recover()
    return (
        Chain(method="int8"),
        Chain(method="int8, blocks of 128", export=Quantize(block_size=128)),
        Chain(method="int4", export=Quantize(bits=4)),
        Chain(method="int4, k-quant", export=Quantize(bits=4, rounding="k_quant")),
        Chain(method="AWQ, GPTQ, int4", awq=AWQ(), gptq=GPTQ(), export=Quantize(bits=4)),
        Chain(method="gguf q8_0", export=ToGGUF()),
        Chain(method="gguf q4_0", export=ToGGUF(quantization="q4_0")),
        Chain(method="50 % zeros", prune=Prune(), export=None),
        Chain(method="50 % zeros, int8", prune=Prune()),
        Chain(method="2:4 zeros, recovered, int8", prune=pairs, recover=recover),
        Chain(method="3/4 neurons, int8", shrink=quarter),
        Chain(method="3/4 neurons, trained, int8", shrink=quarter, recover=ContinuedTraining()),
        Chain(method="half depth, distilled, int8", distil=half),
    )


def _bounded(component: _Trained, num_steps: int) -> _Trained:
    """Return a training with so many steps, unless it says its own."""
    training = component.training
    if not isinstance(training, EpochHyperparameters):
        return component
    steps = Hyperparameters(**training.model_dump(exclude={"num_epochs"}), num_steps=num_steps)
    return component.model_copy(update={"training": steps})


def _distilled(distil: Distil, teacher: Checkpoint, prepared: Prepared) -> Checkpoint:
    """Return the student, having let the teacher score what it will see."""
    return step(
        distil,
        DistilInputs(
            teacher=teacher,
            shards=prepared.shards,
            vocabulary=prepared.vocabulary,
            scores=_scores(distil, teacher, prepared),
        ),
    )


def _scores(distil: Distil, teacher: Checkpoint, prepared: Prepared) -> TeacherScores:
    training = distil.training
    draws = None
    if isinstance(training, Hyperparameters):
        draws = training.num_steps * training.batch_size
    component = TeacherLogits(
        top_k=distil.top_k,
        temperature=distil.temperature,
        sequence_length=distil.sequence_length,
        packing=distil.packing,
        document_mask=distil.document_mask,
        num_draws=draws,
        seed=training.seed,
    )
    inputs = TeacherLogitsInputs(
        teacher=teacher, shards=prepared.shards, vocabulary=prepared.vocabulary
    )
    return step(component, inputs)
