"""A base model becomes one that follows instructions."""

from components.core.artifacts.data import Instructions
from components.core.artifacts.models import Checkpoint
from components.data.prepare_dialogues import PrepareDialogues, PrepareDialoguesInputs
from components.finetune.sft import SFT, SFTInputs
from components.lib.models.config import context_length, raw_config
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
        learnt = self._prepared(model, prepared) if self.instructions else prepared.instructions
        inputs = SFTInputs(model=model, instructions=learnt, shards=prepared.shards)
        return step(self.sft, inputs)

    def held_out(self, model: Checkpoint, prepared: Prepared) -> Instructions | None:
        """Return the named dialogues, some of which are held out; the micro-tasks are probed."""
        return self._prepared(model, prepared) if self.instructions else None

    def sets(self) -> NamedSets:
        """Return the sets of dialogues."""
        return NamedSets(instructions=self.instructions)

    def _prepared(self, model: Checkpoint, prepared: Prepared) -> Instructions:
        """Return the dialogues that are learnt, fit for the model in hand."""
        inputs = PrepareDialoguesInputs(
            instructions=prepared.instructions,
            evaluation=prepared.evaluation,
            vocabulary=prepared.vocabulary,
            max_length=context_length(raw_config(model.path)),
        )
        made = step(self.prepare, inputs)
        publish_dialogues(made.path)
        return made
