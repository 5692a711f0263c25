"""A model becomes smaller and faster."""

from collections import Counter
from collections.abc import Iterator

from pydantic import Field, model_validator

from components.compress.choose import Candidate, Choose, ChooseInputs, Refused
from components.compress.demands import config_problems, export_problems
from components.compress.fidelity import Fidelity, FidelityInputs
from components.compress.quantize import Quantize
from components.core.artifacts.data import Dialogues
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.artifacts.reports import Budget
from components.data.prepare_dialogues import PrepareDialogues, PrepareDialoguesInputs
from flows.chains import Chain, usual
from flows.publish import publish_frontier
from flows.stage import Base, NamedSets, Prepared, Stage
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
