"""Distil: a teacher and text -> a smaller model that has learnt from both."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TeacherScores, TokenShards, Vocabulary
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.processes.workers import train_on_workers
from components.lib.models.student import CopiedLayers, NewShape
from components.lib.training.hyperparameters import EpochHyperparameters, Hyperparameters
from components.lib.training.on_text import OnText

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from components.lib.objectives.distil import DistillationOptions
    from components.lib.objectives.objective import PretrainingText
    from components.lib.objectives.teachers import Teacher
    from components.lib.training.fit import TrainSpec

_OF_SCORES = ("sequence_length", "packing", "document_mask", "top_k", "temperature")


class DistilInputs(Frozen):
    """What `Distil` reads."""

    teacher: Checkpoint
    """The model that is learnt from. A student that copies layers takes them from it."""
    shards: TokenShards
    """The text, as tokens of the teacher."""
    vocabulary: Vocabulary
    """The tokenizer that it was made with."""
    scores: TeacherScores | None = None
    """What the teacher makes of the text; None lets it run beside the student."""


class Distil(Component[DistilInputs, Checkpoint], OnText):
    """Distil a decoder from its logits, on the one training loop (Hinton et al. 2015).

    The loss is (1 - alpha) x cross-entropy of the text + alpha x T^2 x divergence from the teacher,
    both means over the targets. The teacher has run once, or runs beside the student.
    Writes a model and tokenizer in Hugging Face layout, and `ledger.jsonl`: what each step saw.
    """

    version: ClassVar[str] = "1.0.0"

    student: CopiedLayers | NewShape = CopiedLayers()
    """Half of the teacher's layers, so many of them, or a model of another shape."""
    training: Hyperparameters | EpochHyperparameters = EpochHyperparameters(
        batch_size=32, micro_batch_size=16, optimizer="muon", learning_rate=0.003
    )
    """Steps or epochs, batch and learning rate; an example is one sequence."""
    divergence: Literal["forward_kl", "reverse_kl", "jensen_shannon"] = "forward_kl"
    """`forward_kl` covers all that the teacher may say, `reverse_kl` (Gu et al. 2023, MiniLLM)
    only what it says often, `jensen_shannon` lies between (Agarwal et al. 2023)."""
    alpha: float = Field(default=0.9, ge=0, le=1)
    """Share of the teacher in the loss; the text has the rest."""
    temperature: float = Field(default=1.0, gt=0)
    """Both models' logits are divided by it."""
    beta: float = Field(default=0.5, gt=0, lt=1)
    """Of `jensen_shannon` alone: the weight of the teacher."""
    top_k: int = Field(default=32, ge=1)
    """Tokens of the teacher's distribution that are told apart; all others count as one."""

    def run(self, inputs: DistilInputs, out: Path) -> Checkpoint:
        """Train, on as many processes as this machine says, and leave the student in `out`.

        Raises:
            ValueError: the teacher cannot read the student's tokens, sizes do not fit, there is too
                little text, or the scores are of another teacher, text or setting.
        """
        from components.lib.models.folders import describe
        from components.lib.objectives.next_token import NextToken

        self._require(inputs)
        text, batch_size = self._text(inputs), self.training.batch_size
        num_examples = self.require_a_batch(NextToken(), text, batch_size)
        training = self.training.of(num_examples)
        if inputs.scores is not None:
            self._require_scores(inputs.scores, inputs, training, num_examples)
        self.report_packing(inputs.shards, out)
        num_sequences = training.num_steps * training.batch_size
        train_on_workers(distil_worker, self, inputs, out, num_sequences * self.sequence_length)
        return describe(out, self.sequence_length)

    def _require(self, inputs: DistilInputs) -> None:
        """Look at the teacher and at the student that is asked for."""
        from components.lib.models.config import raw_config
        from components.lib.models.teaching import require_teacher

        length, folder = self.sequence_length, inputs.teacher.path
        require_teacher(folder, inputs.vocabulary, inputs.shards, length)
        if problems := list(self.student.problems(raw_config(folder), length)):
            raise ValueError(f"This student cannot be made: {' '.join(problems)}")

    def _require_scores(
        self,
        scores: TeacherScores,
        inputs: DistilInputs,
        training: Hyperparameters,
        num_examples: int,
    ) -> None:
        """Look whether scores are of this teacher and text, cut alike, and hold what is drawn."""
        import numpy as np

        from components.lib.examples.permutation import examples_at
        from components.lib.examples.scored import ScoreFiles

        for name, given in (("teacher", inputs.teacher), ("shards", inputs.shards)):
            if (made_of := getattr(scores, name)) != given.fingerprint:
                raise ValueError(
                    f"The scores are of {name} {made_of}, and {given.fingerprint} is given: score "
                    "the text again with compress.teacher."
                )
        asked = {name: getattr(self, name) for name in _OF_SCORES}
        wrong = [
            f"{name}={getattr(scores, name)!r} and not {value!r}"
            for name, value in asked.items()
            if getattr(scores, name) != value
        ]
        if wrong:
            raise ValueError(
                f"The scores were made with {', '.join(wrong)}: set the same in compress.teacher "
                "and in compress.distil."
            )
        drawn = np.arange(training.num_steps * training.batch_size)
        drawn = np.unique(examples_at(drawn, num_examples, training.seed))
        if len(absent := ScoreFiles(scores.path).missing(drawn)):
            raise ValueError(
                f"{len(absent)} of the {len(drawn)} sequences that the student draws were not "
                "scored: raise num_draws of the scores, set its seed to this training's, or leave "
                "num_draws out."
            )

    def task(
        self, inputs: DistilInputs, model: "PreTrainedModel", teacher: "PreTrainedModel"
    ) -> "TrainSpec":
        """Return what the student `model` is trained on, what for, and how it is judged.

        Raises:
            ValueError: documents are to be hidden from each other, and a model cannot do that.
        """
        from components.lib.models.folders import num_active_parameters
        from components.lib.models.teaching import require_hiding
        from components.lib.objectives.distil import distillation_of

        if self.document_mask:
            require_hiding(model)
            require_hiding(teacher)
        kind = distillation_of(model)
        objective = kind(self._teacher(inputs, teacher), self._options(), self.loss_options())
        spec = self.spec(objective, self._text(inputs), model)
        if inputs.scores is not None:
            return spec
        read = 2 * num_active_parameters(teacher)  # it goes forward alone
        return spec._replace(flops_per_token=spec.flops_per_token + read)

    def _teacher(self, inputs: DistilInputs, model: "PreTrainedModel") -> "Teacher":
        from components.lib.objectives.teachers import KeptTeacher, LiveTeacher

        if inputs.scores is not None:
            return KeptTeacher(inputs.scores.path)
        return LiveTeacher(model, self.top_k, self.temperature)

    def _options(self) -> "DistillationOptions":
        from components.lib.objectives.distil import DistillationOptions

        return DistillationOptions(self.divergence, self.alpha, self.temperature, self.beta)

    def _text(self, inputs: DistilInputs) -> "PretrainingText":
        return self.text(inputs.shards, inputs.vocabulary.path, self.training.seed)


def distil_worker(payload: dict[str, Any]) -> None:
    """Distil in this process, one of a data-parallel group or alone; rank 0 saves the student."""
    from components.lib.models.folders import load_model
    from components.lib.training.session import train_and_save

    component = Distil.model_validate(payload["component"])
    inputs = DistilInputs.model_validate(payload["inputs"])
    teacher = load_model(inputs.teacher.path)
    beside = inputs.teacher.path
    student = component.student.build(teacher, beside, component.training.seed)
    task = component.task(inputs, student, teacher)
    training = component.training.of(len(task.examples))
    train_and_save(student, beside, task, training, Path(payload["out"]))
