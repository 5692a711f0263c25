"""A model learns to prefer what was chosen."""

from pydantic import Field

from components.align.dpo import DPO, DPOInputs
from components.align.reference import Reference, ReferenceInputs
from components.align.sample import SampleInputs, SamplePreferences
from components.core.artifacts.data import Comparisons, Dialogues
from components.core.artifacts.models import Checkpoint
from components.core.artifacts.reports import Budget
from components.data.prepare_pairs import PreparePairs, PreparePairsInputs
from flows.publish import publish_dialogues
from flows.stage import NamedSets, Prepared, Stage
from flows.step import step


class DirectPreference(Stage):
    """Direct preference optimization on pairs of the model's own samples."""

    budget: Budget = Budget(max_accuracy_loss=0.02)
    """What it may cost the model; the gate of the release holds it."""
    sample: SamplePreferences = SamplePreferences()
    """Where the pairs come from."""
    reference: Reference = Reference()
    """How likely the model finds the answers before."""
    dpo: DPO = DPO()
    """The training."""

    def apply(self, model: Checkpoint, prepared: Prepared) -> Checkpoint:
        """Sample answers to `prepared.preferences`, then train `model` on the pairs."""
        sampled = SampleInputs(model=model, preferences=prepared.preferences)
        pairs = step(self.sample, sampled)
        scored = ReferenceInputs(model=model, pairs=pairs)
        reference = step(self.reference, scored) if self.dpo.has_reference else None
        return step(self.dpo, DPOInputs(model=model, pairs=pairs, reference=reference))


class OwnPreference(Stage):
    """Direct preference optimization on comparisons that somebody has made."""

    budget: Budget = Budget(max_accuracy_loss=0.02)
    """What it may cost the model; the gate of the release holds it."""
    preferences: tuple[str, ...] = Field(min_length=1)
    """Sets of comparisons, as `bloomery data add --as preferences` named them."""
    prepare: PreparePairs = PreparePairs()
    """Which comparisons of these sets are learnt from."""
    reference: Reference = Reference()
    """How likely the model finds the answers before."""
    dpo: DPO = DPO()
    """The training."""

    def apply(self, model: Checkpoint, prepared: Prepared) -> Checkpoint:
        """Train `model` on the comparisons of `prepared.preferences`."""
        pairs = self.comparisons(model, prepared)
        publish_dialogues(pairs.path)
        scored = ReferenceInputs(model=model, pairs=pairs)
        reference = step(self.reference, scored) if self.dpo.has_reference else None
        return step(self.dpo, DPOInputs(model=model, pairs=pairs, reference=reference))

    def comparisons(self, model: Checkpoint, prepared: Prepared) -> Comparisons:
        """Return the named comparisons, fit for the model in hand."""
        fit = prepared.fit_for(model)
        inputs = PreparePairsInputs(preferences=prepared.preferences, **dict(fit))
        return step(self.prepare, inputs)

    def learnt(self, model: Checkpoint, prepared: Prepared) -> tuple[Dialogues | Comparisons, ...]:
        """Return the named comparisons."""
        return (self.comparisons(model, prepared),)

    def sets(self) -> NamedSets:
        """Return the sets of comparisons."""
        return NamedSets(preferences=self.preferences)
