"""A base model becomes one that follows instructions."""

from components.core.artifacts.data import Comparisons, Dialogues
from components.core.artifacts.models import Checkpoint
from components.data.prepare_dialogues import PrepareDialogues, PrepareDialoguesInputs
from components.finetune.sft import SFT, SFTInputs
from flows.publish import publish_dialogues
from flows.stage import NamedSets, Prepared, Stage
from flows.step import step


class Supervised(Stage):
    """Supervised fine-tuning of all weights on dialogues."""

    instructions: tuple[str, ...] = ()
    """Sets of dialogues that are learnt, as `bloomery data add --as instructions` named them; none
    means the built-in micro-tasks."""
    prepare: PrepareDialogues = PrepareDialogues()
    """Which dialogues of these sets are learnt."""
    sft: SFT = SFT()
    """The training."""

    def apply(self, model: Checkpoint, prepared: Prepared) -> Checkpoint:
        """Fine-tune `model` on `prepared.instructions`, with text for replay."""
        learnt = self.held_out(model, prepared) or prepared.instructions
        if self.instructions:
            publish_dialogues(learnt.path)
        inputs = SFTInputs(model=model, instructions=learnt, shards=prepared.shards)
        return step(self.sft, inputs)

    def held_out(self, model: Checkpoint, prepared: Prepared) -> Dialogues | None:
        """Return the named dialogues, fit for the model in hand; micro-tasks are probed anyway."""
        if not self.instructions:
            return None
        fit = prepared.fit_for(model)
        inputs = PrepareDialoguesInputs(instructions=prepared.instructions, **dict(fit))
        return step(self.prepare, inputs)

    def trains_embeddings(self) -> bool:
        """Say whether the embeddings are learnt too."""
        return self.sft.lora is None

    def learnt(self, model: Checkpoint, prepared: Prepared) -> tuple[Dialogues | Comparisons, ...]:
        """Return the named dialogues."""
        found = self.held_out(model, prepared)
        return () if found is None else (found,)

    def sets(self) -> NamedSets:
        """Return the sets of dialogues."""
        return NamedSets(instructions=self.instructions)
