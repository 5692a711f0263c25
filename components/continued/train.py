"""ContinuedTraining: a model that exists and documents -> a model that has read them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TokenShards, Vocabulary
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.processes.workers import train_on_workers
from components.core.tracking import spool
from components.lib.models.lora import LoRA
from components.lib.training.hyperparameters import EpochHyperparameters, Hyperparameters
from components.lib.training.on_text import OnText

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from components.lib.examples.replayed import Replayed
    from components.lib.objectives.next_token import NextToken
    from components.lib.objectives.objective import PretrainingText
    from components.lib.training.fit import TrainSpec


class ContinuedTrainingInputs(Frozen):
    """What `ContinuedTraining` reads."""

    model: Checkpoint
    """The model to start from."""
    shards: TokenShards
    """The documents, as tokens of this model."""
    vocabulary: Vocabulary
    """The tokenizer they were made with."""
    replay: TokenShards | None = None
    """Documents such as the model has read before, as tokens; None where none are read again."""


class ContinuedTraining(Component[ContinuedTrainingInputs, Checkpoint], OnText):
    """Go on with the pretraining of a model, on other documents (Gururangan et al. 2020).

    The learning rate rises again and falls again, as it must for a finished model to learn much
    (Ibrahim et al. 2024, arXiv 2403.08763). The loss is that of every next token. Against
    forgetting, a share of what is read may be other documents, such as the model has read before.
    Writes a model and tokenizer in Hugging Face layout, and `ledger.jsonl`: what each step saw.
    """

    version: ClassVar[str] = "1.1.0"

    training: Hyperparameters | EpochHyperparameters = EpochHyperparameters(
        batch_size=16, micro_batch_size=2, checkpoint_every=20
    )
    """Steps or epochs, batch and learning rate; an example is one sequence."""
    lora: LoRA | None = None
    """Train an adapter instead of all weights, and merge it. It leaves embeddings as they are."""
    replay_share: float = Field(default=0.0, ge=0, le=0.5)
    """Share of the sequences that are of the documents to replay. An epoch is one of the others,
    and the metrics say how many were replayed, and how often each."""

    def run(self, inputs: ContinuedTrainingInputs, out: Path) -> Checkpoint:
        """Train, on as many processes as this machine says, and leave the model in `out`.

        Raises:
            ValueError: there are more workers than examples in a batch, too little text, a sequence
                is longer than the model's context, the model cannot hide documents, or there is a
                share to replay and no text, or the other way round.
        """
        from components.lib.models.folders import describe

        self._require_context(inputs.model)
        self._require_replay(inputs)
        objective, text = self._objective(), self._text(inputs)
        self.require_a_batch(objective, text, self.training.batch_size)
        self.report_packing(inputs.shards, out)
        training = self.training.of(len(self.examples(inputs)))
        num_sequences = training.num_steps * training.batch_size
        train_on_workers(continue_worker, self, inputs, out, num_sequences * self.sequence_length)
        return describe(out, self.sequence_length)

    def _require_context(self, model: Checkpoint) -> None:
        from components.lib.models.config import context_length, raw_config

        if (longest := context_length(raw_config(model.path))) < self.sequence_length:
            raise ValueError(
                f"sequence_length={self.sequence_length} is longer than the context of the model, "
                f"{longest} tokens: lower it (--set continued.sequence_length={longest})."
            )

    def _require_replay(self, inputs: ContinuedTrainingInputs) -> None:
        if (inputs.replay is None) != (self.replay_share == 0):
            there = "no documents" if inputs.replay is None else "documents"
            raise ValueError(
                f"replay_share is {self.replay_share:g}, and there are {there} to replay: give "
                "both, or neither."
            )

    def examples(self, inputs: ContinuedTrainingInputs) -> "Replayed":
        """Return the sequences that are read.

        Raises:
            ValueError: there are none, or the shards do not say where documents begin.
        """
        from components.lib.examples.replayed import replayed

        again = inputs.replay.path if inputs.replay else None
        cut = (self.sequence_length, self.packing, self.document_mask)
        return replayed(inputs.shards.path, again, self.replay_share, *cut)

    def task(self, inputs: ContinuedTrainingInputs, model: "PreTrainedModel") -> "TrainSpec":
        """Return what `model` is trained on, what for, and how it is judged.

        Raises:
            ValueError: documents are to be hidden from each other, and the model cannot do that.
        """
        from components.lib.models.proof import hides_documents

        if self.document_mask and not hides_documents(model):
            raise ValueError(
                f"document_mask=true, but documents of one sequence see each other in a "
                f"{type(model).__name__}. Leave document_mask out."
            )
        spec = self.spec(self._objective(), self._text(inputs), model)
        return spec._replace(examples=self.examples(inputs))

    def _objective(self) -> "NextToken":
        from components.lib.objectives.next_token import NextToken

        return NextToken.asked(self.loss_options())

    def _text(self, inputs: ContinuedTrainingInputs) -> "PretrainingText":
        return self.text(inputs.shards, inputs.vocabulary.path, self.training.seed)


def continue_worker(payload: dict[str, Any]) -> None:
    """Train in this process, one of a data-parallel group or alone; rank 0 saves the model."""
    from components.lib.models.folders import load_model
    from components.lib.training.session import train_and_save

    component = ContinuedTraining.model_validate(payload["component"])
    inputs = ContinuedTrainingInputs.model_validate(payload["inputs"])
    model = load_model(inputs.model.path)
    task = component.task(inputs, model)
    training, out = component.training.of(len(task.examples)), Path(payload["out"])
    if inputs.replay is not None:
        num_drawn = training.num_steps * training.batch_size
        _say(component.examples(inputs).measures(num_drawn, training.seed), out)
    train_and_save(model, inputs.model.path, task, training, out, component.lora)


def _say(measures: dict[str, float], out: Path) -> None:
    from components.lib.group import Group

    if Group.current().rank == 0 and not (out / spool.SPOOL).exists():  # a resumed run has said it
        spool.append(out, 0, measures)
