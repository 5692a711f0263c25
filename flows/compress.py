"""A model becomes smaller and faster."""

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from pydantic import Field, model_validator

from components.compress.awq import AWQ
from components.compress.calibration.inputs import CalibrationInputs
from components.compress.choose import Choose, ChooseInputs
from components.compress.comparison.candidates import Candidate, Refused
from components.compress.demands import config_problems, export_problems
from components.compress.distil import Distil, DistilInputs
from components.compress.fidelity import Fidelity, FidelityInputs
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
from components.core.artifacts.data import Dialogues, TeacherScores
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.artifacts.reports import Budget
from components.data.prepare_dialogues import PrepareDialogues, PrepareDialoguesInputs
from components.lib.models.config import raw_config
from components.lib.training.hyperparameters import EpochHyperparameters, Hyperparameters
from flows.publish import publish_frontier
from flows.stage import Base, NamedSets, Prepared, Stage
from flows.step import step

_Trained = TypeVar("_Trained", Distil, Recover, ContinuedTraining)


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


class Frontier(Stage):
    """Make a model smaller in several ways, measure each, and take the one that a budget picks."""

    budget: Budget = Budget(max_accuracy_loss=0.03, max_bits_per_byte_increase=0.02)
    """What it may cost the model; the gate of the release holds it."""
    chains: tuple[Chain, ...] = Field(default_factory=usual, min_length=1)
    """What is tried."""
    num_steps: int = Field(default=40, ge=1)
    """Steps of each training of a chain that says none itself."""
    instructions: tuple[str, ...] = ()
    """Sets of dialogues whose held-out part each model answers: is it declined, are tools called?
    Micro-tasks are asked anyway."""
    prepare: PrepareDialogues = PrepareDialogues()
    """Which dialogues of these sets."""
    fidelity: Fidelity = Fidelity()
    """How each is held against the original."""
    choose: Choose = Choose()
    """Which is taken."""

    @model_validator(mode="after")
    def _methods_differ(self) -> "Frontier":
        methods = [chain.method for chain in self.chains]
        if twice := [name for name, number in Counter(methods).items() if number > 1]:
            raise ValueError(f"two ways are called {twice[0]}: give each chain its own method.")
        return self

    def apply(self, model: Checkpoint, prepared: Prepared) -> CompressedModel:
        """Try every chain, and return the one within the budget that is the smallest, or fastest.

        A chain that this model cannot go is drawn as not possible.

        Raises:
            ValueError: no export holds the budget.
        """
        candidates: list[Candidate] = []
        refused: list[Refused] = []
        for chain in self.chains:
            if problems := chain.problems(model):
                refused.append(Refused(method=chain.method, reason=" ".join(problems)))
                continue
            try:
                smaller = chain.apply(model, prepared, self.num_steps)
                report = step(self.fidelity, self._measured(model, smaller, prepared))
            except ValueError as error:
                refused.append(Refused(method=chain.method, reason=str(error)))
            else:
                candidates.append(Candidate(method=chain.method, model=smaller, report=report))
        inputs = ChooseInputs(original=model, candidates=tuple(candidates), refused=tuple(refused))
        chosen = step(self.choose, inputs)
        publish_frontier(chosen.path)
        return chosen

    def sets(self) -> NamedSets:
        """Return the sets of dialogues."""
        return NamedSets(instructions=self.instructions)

    def _measured(
        self, model: Checkpoint, smaller: Checkpoint | CompressedModel, prepared: Prepared
    ) -> FidelityInputs:
        return FidelityInputs(
            original=model,
            model=smaller,
            shards=prepared.shards,
            evaluation=prepared.evaluation,
            instructions=self._asked(model, prepared),
        )

    def _asked(self, model: Checkpoint, prepared: Prepared) -> Dialogues | None:
        if not self.instructions:
            return None
        fit = prepared.fit_for(model)
        inputs = PrepareDialoguesInputs(instructions=prepared.instructions, **dict(fit))
        return step(self.prepare, inputs)


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
