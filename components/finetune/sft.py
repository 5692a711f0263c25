"""SFT: a base model and instructions -> a model that follows them."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Instructions, TokenShards
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.processes.workers import train_on_workers
from components.core.tracking import spool
from components.lib.models.lora import LoRA
from components.lib.training.hyperparameters import EpochHyperparameters, Hyperparameters


class SFTInputs(Frozen):
    """What `SFT` reads."""

    model: Checkpoint
    """The model to start from."""
    instructions: Instructions
    """What is learned from, and what the loss is measured on."""
    shards: TokenShards
    """The pretraining text, for replay."""


class SFT(Component[SFTInputs, Checkpoint]):
    """Supervised fine-tuning on instructions, with the loss on the answers only.

    Prompts are rendered by the tokenizer's own chat template, the one every later stage uses.
    A batch is packed: several dialogues share a sequence and are hidden from each other, so that
    hardly any padding is computed, with the losses that each dialogue would have alone. A model
    that cannot hide them from each other gets a dialogue a sequence.
    Writes a model and tokenizer in Hugging Face layout, and `ledger.jsonl`: what each step saw.
    """

    version: ClassVar[str] = "4.2.0"

    training: Hyperparameters | EpochHyperparameters = Hyperparameters(
        num_steps=480, batch_size=64, micro_batch_size=32, learning_rate=0.005
    )
    """Steps or epochs, batch and learning rate. `batch_size` counts dialogues, the text for replay
    comes on top; `micro_batch_size`, and `examples` in the ledger, count the sequences that they
    are packed into.
    """
    lora: LoRA | None = None
    """Train an adapter instead of all weights, and merge it."""
    sequence_length: int = Field(default=128, ge=8)
    """Tokens of such a sequence. A batch with a longer dialogue has sequences as long as that one:
    nothing is cut."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Weight of each set among what is drawn, by its name; none takes every dialogue as often."""
    neftune_alpha: float = Field(default=0.0, ge=0)
    """Noise on the embeddings while training (NEFTune, Jain et al. 2023): 5 is usual, 0 is none."""
    replay_share: float = Field(default=0.05, ge=0, le=0.5)
    """Share of the examples that are pretraining text, against forgetting; on top of the batch."""
    replay_length: int = Field(default=64, ge=8)
    """Tokens of such an example."""

    @model_validator(mode="after")
    def _weights_are_positive(self) -> "SFT":
        if wrong := {name: weight for name, weight in self.weights.items() if not weight > 0}:
            raise ValueError(f"weights must be above 0, and these are not: {wrong}.")
        return self

    def run(self, inputs: SFTInputs, out: Path) -> Checkpoint:
        """Fine-tune, under Ray or in this process, and leave the model in `out`.

        Raises:
            ValueError: there is nothing to learn or to hold out, or `weights` names other sets.
        """
        from components.lib.models.folders import describe

        with (inputs.instructions.path / "train.jsonl").open("rb") as lines:
            training = self.training.of(sum(1 for _ in lines))
        num_examples = training.num_steps * training.batch_size
        train_on_workers(sft_worker, self, inputs, out, num_examples * self.sequence_length)
        return describe(out, self.replay_length)  # instructions are about as long


def sft_worker(payload: dict[str, Any]) -> None:
    """Fine-tune in this process, one of a data-parallel group or alone; rank 0 saves the model."""
    from components.finetune.replay import WithReplay
    from components.lib.examples.dialogues import Dialogues
    from components.lib.examples.mixture import Mixture
    from components.lib.examples.shards import Sequences
    from components.lib.inference.answer_nats import answer_nats
    from components.lib.inference.torch_model import TorchModel
    from components.lib.models.folders import flops_per_token, load_model, load_tokenizer
    from components.lib.models.proof import hides_documents
    from components.lib.objectives.next_token import NextToken
    from components.lib.objectives.noisy import NoisyEmbeddings
    from components.lib.text.dialogue import read_dialogues
    from components.lib.training.fit import TrainSpec
    from components.lib.training.session import train_and_save

    component = SFT.model_validate(payload["component"])
    inputs = SFTInputs.model_validate(payload["inputs"])

    tokenizer = load_tokenizer(inputs.model.path)
    model = load_model(inputs.model.path)
    folder = inputs.instructions.path
    length = component.sequence_length
    packs = hides_documents(model)
    learnt, held_out = (
        Dialogues(tokenizer, list(read_dialogues(folder / name)), length, packs)
        for name in ("train.jsonl", "validation.jsonl")
    )
    drawn = Mixture(learnt, component.weights) if component.weights else learnt
    training = component.training.of(len(drawn))
    text = Sequences(inputs.shards.path / "train", component.replay_length)
    alpha, scorer = component.neftune_alpha, TorchModel(model)
    task = TrainSpec(
        examples=WithReplay(drawn, text, component.replay_share),
        objective=NoisyEmbeddings(alpha) if alpha else NextToken(),
        evaluate=lambda: {"validation_loss": answer_nats(scorer, held_out)},
        flops_per_token=flops_per_token(model, component.replay_length),
    )
    beside, out = inputs.model.path, Path(payload["out"])
    if isinstance(drawn, Mixture):
        _say_epochs(drawn.epochs(training.num_steps * training.batch_size), out)
    train_and_save(model, beside, task, training, out, component.lora)


def _say_epochs(epochs: dict[str, float], out: Path) -> None:
    """Say in the metrics how often each set is seen."""
    from components.lib.group import Group

    if Group.current().rank == 0 and not (out / spool.SPOOL).exists():  # a resumed run has said it
        spool.append(out, 0, {f"epochs.{name}": number for name, number in epochs.items()})
