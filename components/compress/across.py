"""DistilAcross: a teacher of another vocabulary and text -> a model that has learnt from both."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TokenShards, Vocabulary
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.processes.workers import train_on_workers
from components.lib.models.student import NewShape
from components.lib.training.hyperparameters import EpochHyperparameters, Hyperparameters
from components.lib.training.on_text import OnText

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from components.lib.examples.aligned import AlignedText
    from components.lib.objectives.objective import PretrainingText
    from components.lib.training.fit import TrainSpec

_TRIED = 16  # windows that are read before it begins


class DistilAcrossInputs(Frozen):
    """What `DistilAcross` reads."""

    teacher: Checkpoint
    """The model that is learnt from, with a tokenizer of its own."""
    shards: TokenShards
    """The text, as tokens of the student."""
    vocabulary: Vocabulary
    """The student's tokenizer."""
    student: Checkpoint | None = None
    """A model of that vocabulary to go on with; None makes one of the shape that is asked for."""


class DistilAcross(Component[DistilAcrossInputs, Checkpoint]):
    """Distil a decoder from one of another vocabulary, aligned by bytes, on the one training loop.

    The teacher reads the student's text with its own tokenizer, beside the student. Where both cut
    they are compared in what comes next, as tokens that both have, and between two such places in
    how likely they find the text: components/lib/objectives/across.py says how. The text is one
    stream of tokens.
    Writes a model and tokenizer in Hugging Face layout, and `ledger.jsonl`: what each step saw.
    """

    version: ClassVar[str] = "1.0.0"

    shape: NewShape = NewShape(depth=2)
    """What the student is, if none is given."""
    training: Hyperparameters | EpochHyperparameters = EpochHyperparameters(
        batch_size=32, micro_batch_size=16, optimizer="muon", learning_rate=0.01
    )
    """Steps or epochs, batch and learning rate; an example is one sequence."""
    alpha: float = Field(default=0.3, ge=0, le=1)
    """Weight of the teacher in the loss; the text has the rest."""
    sequence_length: int = Field(default=256, ge=8)
    """Tokens of a sequence, the student's. The teacher reads as far as its context reaches."""
    validation_sequences: int = Field(default=64, ge=1)
    """Sequences of the validation split that each validation measures."""

    @property
    def on_text(self) -> OnText:
        """How the text is cut."""
        return OnText(
            sequence_length=self.sequence_length, validation_sequences=self.validation_sequences
        )

    def run(self, inputs: DistilAcrossInputs, out: Path) -> Checkpoint:
        """Train, on as many processes as this machine says, and leave the student in `out`.

        Raises:
            ValueError: sizes do not fit, there is too little text, or the teacher's tokenizer does
                not give text back as it was.
        """
        from components.lib.models.folders import describe
        from components.lib.objectives.next_token import NextToken

        self._require(inputs)
        text, batch_size = self._text(inputs), self.training.batch_size
        num_examples = self.on_text.require_a_batch(NextToken(), text, batch_size)
        self._try(inputs)
        training = self.training.of(num_examples)
        num_sequences = training.num_steps * training.batch_size
        train_on_workers(across_worker, self, inputs, out, num_sequences * self.sequence_length)
        return describe(out, self.sequence_length)

    def _require(self, inputs: DistilAcrossInputs) -> None:
        """Look at the teacher and at the student that is asked for."""
        from components.lib.models.config import raw_config
        from components.lib.models.teaching import require_decoder_of, require_teacher

        require_decoder_of(inputs.teacher.path, 2)
        if inputs.student is not None:
            folder = inputs.student.path
            require_teacher(folder, inputs.vocabulary, inputs.shards, self.sequence_length)
            return
        config = raw_config(inputs.teacher.path)
        if problems := list(self.shape.problems(config, self.sequence_length)):
            raise ValueError(f"This student cannot be made: {' '.join(problems)}")

    def _try(self, inputs: DistilAcrossInputs) -> None:
        """Read some text as the teacher does.

        Raises:
            ValueError: no place is found where both tokenizers cut.
        """
        import numpy as np

        from components.lib.examples.aligned import ALIGNED

        examples = self._examples(inputs)
        some = examples.batch(np.arange(min(_TRIED, len(examples))))
        if not (some.extras[ALIGNED] >= 0).any():
            raise ValueError(
                f"The tokenizer of the teacher in {inputs.teacher.path} does not give this text "
                "back as it was, so that no token can be aligned. Distil from its answers "
                "(compress.answers), or take another teacher."
            )

    def task(
        self, inputs: DistilAcrossInputs, model: "PreTrainedModel", teacher: "PreTrainedModel"
    ) -> "TrainSpec":
        """Return what the student `model` is trained on, what for, and how it is judged."""
        from components.lib.models.folders import num_active_parameters
        from components.lib.objectives.across import AcrossVocabularies
        from components.lib.text.token_bytes import TokenBytes

        folders = (inputs.vocabulary.path, inputs.teacher.path)
        own, other = (TokenBytes.of(folder) for folder in folders)
        objective = AcrossVocabularies(teacher, (own, other), self.alpha)
        spec = self.on_text.spec(objective, self._text(inputs), model)
        read = 2 * num_active_parameters(teacher)  # it goes forward alone
        return spec._replace(
            examples=self._examples(inputs), flops_per_token=spec.flops_per_token + read
        )

    def _examples(self, inputs: DistilAcrossInputs) -> "AlignedText":
        from components.lib.examples.aligned import AlignedText
        from components.lib.examples.windows import Windows
        from components.lib.models.config import context_length, raw_config

        windows = Windows(inputs.shards.path / "train", self.sequence_length)
        longest = context_length(raw_config(inputs.teacher.path))
        return AlignedText(windows, inputs.vocabulary.path, inputs.teacher.path, longest)

    def _text(self, inputs: DistilAcrossInputs) -> "PretrainingText":
        return self.on_text.text(inputs.shards, inputs.vocabulary.path, self.training.seed)

    def begin(self, inputs: DistilAcrossInputs) -> "PreTrainedModel":
        """Return the student as it begins."""
        from components.lib.models.folders import load_model

        if inputs.student is not None:
            return load_model(inputs.student.path)
        vocabulary = inputs.vocabulary
        return self.shape.made(vocabulary.vocab_size, vocabulary.path, self.training.seed)


def across_worker(payload: dict[str, Any]) -> None:
    """Distil in this process, one of a data-parallel group or alone; rank 0 saves the student."""
    from components.lib.models.folders import load_model
    from components.lib.training.session import train_and_save

    component = DistilAcross.model_validate(payload["component"])
    inputs = DistilAcrossInputs.model_validate(payload["inputs"])
    student = component.begin(inputs)
    task = component.task(inputs, student, load_model(inputs.teacher.path))
    beside = (inputs.student or inputs.vocabulary).path
    training = component.training.of(len(task.examples))
    train_and_save(student, beside, task, training, Path(payload["out"]))
