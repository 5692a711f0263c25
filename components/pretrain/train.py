"""Train: token shards -> a language model, a decoder or an encoder."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field, model_validator

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TokenShards, Vocabulary
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.processes.workers import train_on_workers
from components.lib.models.architectures.named import ARCHITECTURES
from components.lib.models.dial import shape_at, size_for
from components.lib.models.shape import ModelKind, Shape
from components.lib.training.hyperparameters import DialledHyperparameters, Hyperparameters
from components.lib.training.on_text import OnText

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from components.lib.objectives.objective import PretrainingObjective, PretrainingText
    from components.lib.training.fit import TrainSpec


class TrainInputs(Frozen):
    """What `Train` reads."""

    shards: TokenShards
    """Tokens of the train and validation splits."""
    vocabulary: Vocabulary
    """The tokenizer they were made with; the model carries it along."""


class Resolved(NamedTuple):
    """What `Train` does once the vocabulary is known: nothing is left open."""

    shape: Shape
    training: Hyperparameters


class Train(Component[TrainInputs, Checkpoint], ModelKind, OnText):
    """Pretrain under Ray Train, torchrun or in this process, resuming from its own checkpoints.

    One dial, `depth`, sets the size and the length of the training. A field that is given
    overrides what depth says. The spool gets the loss and its terms, gradient norm, learning rate,
    tokens per second, the share of this device's measured matmul peak, memory, and validation.
    Writes a model and tokenizer in Hugging Face layout, and `ledger.jsonl`: what each step saw.
    If documents are packed or masked, `packing.json` says how full sequences are and what was cut.
    """

    version: ClassVar[str] = "2.4.0"

    depth: int = Field(default=4, ge=1)
    """Number of blocks, from which all other sizes follow: see components/lib/models/dial.py."""
    width: int | None = Field(default=None, ge=16)
    """Size of the residual stream; else 64 x depth."""
    num_heads: int | None = Field(default=None, ge=1)
    """Attention heads; else one for each 64 of the width that depth gives."""
    num_key_value_heads: int | None = Field(default=None, ge=1)
    """Heads of keys and values; else half of the attention heads, or all of them where the
    architecture has no grouped queries."""
    training: DialledHyperparameters = DialledHyperparameters()
    """Steps, batch and learning rate; an example is one sequence."""
    tokens_per_parameter: float = Field(default=12.0, gt=0)
    """Tokens to train on, for each weight that multiplies, unless `num_steps` is given."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Train":
        if problems := list(self._problems()):
            raise ValueError(f"This {self.architecture} cannot be trained: {' '.join(problems)}")
        return self

    def _problems(self) -> Iterator[str]:
        architecture = ARCHITECTURES[self.architecture]
        yield from architecture.problems(self.shape)
        if self.sequence_length > self.max_length:
            yield (
                f"sequence_length={self.sequence_length} is longer than "
                f"max_length={self.max_length}: raise the one or lower the other."
            )
        for name, reason in architecture.without.items():
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                yield f"{name}={value!r} is for decoders: {reason}. Leave {name} out."

    @property
    def reads_both_ways(self) -> bool:
        """Whether the model is an encoder: it sees what comes later, and writes no text."""
        return ARCHITECTURES[self.architecture].reads_both_ways

    @property
    def shape(self) -> Shape:
        """The sizes of the model: those that are given, and for the others what depth says."""
        sizes = shape_at(self.depth) | self._given("width", "num_heads")
        default = ARCHITECTURES[self.architecture].default_num_key_value_heads(sizes["num_heads"])
        sizes["num_key_value_heads"] = self.num_key_value_heads or default
        kind = {name: getattr(self, name) for name in ModelKind.model_fields}
        return Shape.model_validate(kind | sizes)

    def resolve(self, vocab_size: int) -> Resolved:
        """Return the sizes and the training, with what is given in place of what depth says."""
        shape = self.shape
        size = size_for(shape, vocab_size, self.sequence_length, self.tokens_per_parameter)
        given = self.training.model_dump(exclude_none=True)
        return Resolved(shape, Hyperparameters(**{**size._asdict(), **given}))

    def _given(self, *names: str) -> dict[str, int]:
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def run(self, inputs: TrainInputs, out: Path) -> Checkpoint:
        """Train, on as many processes as this machine says, and leave the model in `out`.

        Raises:
            ValueError: there are more workers than examples in a batch, or too little data.
        """
        from components.lib.models.folders import describe

        training = self.resolve(inputs.vocabulary.vocab_size).training
        self.require_a_batch(self._objective(), self._text(inputs), training.batch_size)
        self.report_packing(inputs.shards, out)
        num_sequences = training.num_steps * training.batch_size
        train_on_workers(train_worker, self, inputs, out, num_sequences * self.sequence_length)
        return describe(out, self.sequence_length, self._objective().predicted)

    def task(self, inputs: TrainInputs, model: "PreTrainedModel") -> "TrainSpec":
        """Return what `model` is trained on, what for, and how it is judged."""
        return self.spec(self._objective(), self._text(inputs), model)

    def _objective(self) -> "PretrainingObjective":
        from components.lib.objectives.named import OBJECTIVES

        objective = OBJECTIVES[ARCHITECTURES[self.architecture].objective]
        return objective.asked(self.loss_options())

    def _text(self, inputs: TrainInputs) -> "PretrainingText":
        return self.text(inputs.shards, inputs.vocabulary.path, self.training.seed)


def train_worker(payload: dict[str, Any]) -> None:
    """Train in this process, one of a data-parallel group or alone; rank 0 saves the model."""
    from components.lib.models.build import SpecialIds, build_model
    from components.lib.models.folders import load_tokenizer
    from components.lib.training.session import train_and_save

    component = Train.model_validate(payload["component"])
    inputs = TrainInputs.model_validate(payload["inputs"])
    shape, training = component.resolve(inputs.vocabulary.vocab_size)
    tokenizer = load_tokenizer(inputs.vocabulary.path)
    ids = SpecialIds.of(tokenizer)
    model = build_model(shape, inputs.vocabulary.vocab_size, ids, training.seed)
    task = component.task(inputs, model)
    train_and_save(model, inputs.vocabulary.path, task, training, Path(payload["out"]))
