"""Recover: a sparse model and documents -> the model after training, with its zeros kept."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TokenShards, Vocabulary
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.files import write_json
from components.core.processes.workers import train_on_workers
from components.lib.training.hyperparameters import EpochHyperparameters, Hyperparameters
from components.lib.training.on_text import OnText
from components.lib.training.sparsify import Gradual, SoftThreshold

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from components.lib.objectives.next_token import NextToken
    from components.lib.objectives.objective import PretrainingText
    from components.lib.training.fit import TrainSpec

SPARSITY = "sparsity.json"

_LEAST = 0.01  # share of zeros of a model that was pruned


class RecoverInputs(Frozen):
    """What `Recover` reads."""

    model: Checkpoint
    """The sparse model, or a dense one that `sparsify` makes sparse."""
    shards: TokenShards
    """The documents, as tokens of this model."""
    vocabulary: Vocabulary
    """The tokenizer they were made with."""


class Recover(Component[RecoverInputs, Checkpoint], OnText):
    """Train a pruned model on, so that the weights that are left make up for those that went.

    Zeros in the blocks' linear layers stay zero through every step, whatever the optimizer, and so
    does their pattern; `sparsify` makes more. Writes a model and tokenizer in Hugging Face layout,
    `sparsity.json` with the share of zeros of each layer before and after, and `ledger.jsonl`: what
    each step saw.
    """

    version: ClassVar[str] = "1.0.0"

    training: Hyperparameters | EpochHyperparameters = EpochHyperparameters(
        batch_size=16, micro_batch_size=2, checkpoint_every=20
    )
    """Steps or epochs, batch and learning rate; an example is one sequence."""
    sparsify: Gradual | SoftThreshold | None = None
    """More zeros while it trains: by a schedule, or by an L1 penalty."""

    def run(self, inputs: RecoverInputs, out: Path) -> Checkpoint:
        """Train, on as many processes as this machine says, and leave the model in `out`.

        Raises:
            ValueError: the model has no zeros and is to get none, there are more workers than
                examples in a batch, too little text, or a sequence is longer than the model's
                context.
        """
        from components.lib.models.folders import describe

        before = self._zeros(inputs.model)
        objective, text = self.objective(), self._text(inputs)
        num_examples = self.require_a_batch(objective, text, self.training.batch_size)
        self.report_packing(inputs.shards, out)
        training = self.training.of(num_examples)
        num_sequences = training.num_steps * training.batch_size
        train_on_workers(recover_worker, self, inputs, out, num_sequences * self.sequence_length)
        _report(inputs.model.path, out, before)
        return describe(out, self.sequence_length)

    def _zeros(self, model: Checkpoint) -> dict[str, float]:
        """Return the share of zeros by layer, if the model can be trained as asked."""
        from components.lib.models.config import context_length, raw_config
        from components.lib.models.folders import load_model
        from components.lib.models.sparsity import sparsity_of

        if (longest := context_length(raw_config(model.path))) < self.sequence_length:
            raise ValueError(
                f"sequence_length={self.sequence_length} is longer than the context of the model, "
                f"{longest} tokens: lower it."
            )
        found = sparsity_of(load_model(model.path))
        if self.sparsify is None and max(found.values()) < _LEAST:
            raise ValueError(
                "No layer of the model has zeros to keep. Prune it first, or set sparsify."
            )
        return found

    def task(
        self, inputs: RecoverInputs, model: "PreTrainedModel", training: Hyperparameters
    ) -> "TrainSpec":
        """Return what `model` is trained on, what for, and what is held.

        Raises:
            ValueError: documents are to be hidden from each other, and the model cannot do that.
        """
        from components.lib.models.proof import hides_documents
        from components.lib.training.zeros import held_zeros

        if self.document_mask and not hides_documents(model):
            raise ValueError(
                f"document_mask=true, but documents of one sequence see each other in a "
                f"{type(model).__name__}. Leave document_mask out."
            )
        spec = self.spec(self.objective(), self._text(inputs), model)
        return spec._replace(constraint=held_zeros(model, self.sparsify, training))

    def objective(self) -> "NextToken":
        """Return the loss: that of every next token."""
        from components.lib.objectives.next_token import NextToken

        return NextToken.asked(self.loss_options())

    def _text(self, inputs: RecoverInputs) -> "PretrainingText":
        return self.text(inputs.shards, inputs.vocabulary.path, self.training.seed)


def recover_worker(payload: dict[str, Any]) -> None:
    """Train in this process, one of a data-parallel group or alone; rank 0 saves the model."""
    from components.lib.models.folders import load_model
    from components.lib.training.session import train_and_save

    component = Recover.model_validate(payload["component"])
    inputs = RecoverInputs.model_validate(payload["inputs"])
    model = load_model(inputs.model.path)
    text = component.text(inputs.shards, inputs.vocabulary.path, component.training.seed)
    examples = component.objective().examples(text, "train")
    training = component.training.of(len(examples))
    task = component.task(inputs, model, training)
    train_and_save(model, inputs.model.path, task, training, Path(payload["out"]))


def _report(before: Path, out: Path, shares: dict[str, float]) -> None:
    """Check that every zero is still one, and say how many there are."""
    from components.lib.models.folders import load_model
    from components.lib.models.sparsity import prunable, sparsity

    after: dict[str, float] = {}
    pairs = zip(prunable(load_model(before)), prunable(load_model(out)), strict=True)
    for old, new in pairs:
        assert not new.weight[old.weight == 0].any(), f"a zero of {new.name} was lost"
        after[new.name] = sparsity(new.weight)
    write_json(
        out / SPARSITY,
        {name: {"before": shares[name], "after": share} for name, share in after.items()},
    )
