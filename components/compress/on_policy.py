"""OnPolicyDistil: a student, its teacher and questions -> a student that errs less on its own."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Instructions
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.processes.workers import train_on_workers
from components.core.settings import settings
from components.lib.models.lora import LoRA
from components.lib.training.hyperparameters import EpochHyperparameters, Hyperparameters

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from components.lib.examples.questions import Questions
    from components.lib.objectives.on_policy import OnPolicy
    from components.lib.training.fit import TrainSpec


class OnPolicyDistilInputs(Frozen):
    """What `OnPolicyDistil` reads."""

    student: Checkpoint
    """The model that writes and learns: one that was fine-tuned, or distilled from answers."""
    teacher: Checkpoint
    """The model that it is compared with, of the same vocabulary."""
    instructions: Instructions
    """Questions in `train.jsonl`; the loss of `validation.jsonl`'s answers is measured."""


class OnPolicyDistil(Component[OnPolicyDistilInputs, Checkpoint]):
    """Generalised knowledge distillation (Agarwal et al. 2023), on the one training loop.

    The student answers questions as it stands, the teacher says of each token what it would have
    said there, and the student learns that: it is taught where its own answers lead. What is
    written follows from the seed, the step and the weights, so that a killed run goes on exactly.
    Writes a model and tokenizer in Hugging Face layout, and `ledger.jsonl`: what each step asked.
    """

    version: ClassVar[str] = "1.0.0"

    training: Hyperparameters | EpochHyperparameters = EpochHyperparameters(
        batch_size=32, micro_batch_size=16
    )
    """Steps or epochs, batch and learning rate; an example is a question."""
    lora: LoRA | None = None
    """Train an adapter instead of all weights, and merge it."""
    share: float = Field(default=0.75, ge=0, le=1)
    """Share of the answers that the student writes (lambda); the others are the references."""
    divergence: Literal["forward_kl", "reverse_kl", "jensen_shannon"] = "jensen_shannon"
    """`reverse_kl` is that of Gu et al. 2023; see `compress.distil`."""
    beta: float = Field(default=0.5, gt=0, lt=1)
    """Of `jensen_shannon` alone: the weight of the teacher."""
    top_k: int = Field(default=32, ge=1)
    """Tokens of the teacher's distribution that are told apart; all others count as one."""
    temperature: float = Field(default=1.0, gt=0)
    """Of what is written."""
    max_new_tokens: int = Field(default=64, ge=1)
    """Tokens of an answer, at most; references are cut there too."""

    def run(self, inputs: OnPolicyDistilInputs, out: Path) -> Checkpoint:
        """Train, on as many processes as this machine says, and leave the student in `out`.

        Raises:
            ValueError: the teacher has other tokens, no question fits into the context, or the
                weights are to be sharded.
        """
        from components.lib.models.folders import describe

        self._require(inputs)
        with (inputs.instructions.path / "train.jsonl").open("rb") as lines:
            training = self.training.of(sum(1 for _ in lines))
        num_answers = training.num_steps * training.batch_size
        train_on_workers(on_policy_worker, self, inputs, out, num_answers * self.max_new_tokens)
        return describe(out, self.max_new_tokens)

    def _require(self, inputs: OnPolicyDistilInputs) -> None:
        """Look at both models before they are loaded."""
        from components.lib.models.teaching import require_decoder_of
        from components.lib.text.same_tokens import same_tokens

        for model in (inputs.student, inputs.teacher):
            require_decoder_of(model.path, self.max_new_tokens + 1)
        if differ := same_tokens(inputs.teacher.path, inputs.student.path):
            raise ValueError(
                f"The teacher in {inputs.teacher.path} cannot read what the student writes: "
                f"{differ}. Distil from its answers (compress.answers), or across vocabularies "
                "(compress.across)."
            )
        if settings().num_workers > 1 and settings().data_parallel == "shard":
            raise ValueError(
                "A student that is sharded cannot write while it learns. Set "
                "BLOOMERY_DATA_PARALLEL=replicate."
            )

    def task(
        self, inputs: OnPolicyDistilInputs, model: "PreTrainedModel", training: Hyperparameters
    ) -> "TrainSpec":
        """Return what the student `model` is asked, what for, and how it is judged."""
        from components.lib.examples.dialogues import Dialogues
        from components.lib.inference.answer_nats import answer_nats
        from components.lib.inference.torch_model import TorchModel
        from components.lib.models.folders import flops_per_token, load_tokenizer
        from components.lib.models.proof import hides_documents
        from components.lib.text.dialogue import read_dialogues
        from components.lib.training.fit import TrainSpec

        tokenizer = load_tokenizer(inputs.student.path)
        held_out = Dialogues(
            tokenizer,
            list(read_dialogues(inputs.instructions.path / "validation.jsonl")),
            self.max_new_tokens,
            hides_documents(model),
        )
        scorer = TorchModel(model)
        return TrainSpec(
            examples=self._questions(inputs, training),
            objective=self._objective(inputs, training.seed),
            evaluate=lambda: {"validation_loss": answer_nats(scorer, held_out)},
            flops_per_token=flops_per_token(model, self.max_new_tokens),
        )

    def _questions(self, inputs: OnPolicyDistilInputs, training: Hyperparameters) -> "Questions":
        """Return the questions, each visited as often as the training asks."""
        from components.lib.examples.questions import Questions
        from components.lib.models.config import context_length, raw_config
        from components.lib.models.folders import load_tokenizer
        from components.lib.text.dialogue import read_dialogues

        folders = (inputs.student.path, inputs.teacher.path)
        dialogues = list(read_dialogues(inputs.instructions.path / "train.jsonl"))
        num_drawn = training.num_steps * training.batch_size
        return Questions(
            load_tokenizer(inputs.student.path),
            dialogues,
            math.ceil(num_drawn / len(dialogues)),
            self.max_new_tokens,
            min(context_length(raw_config(folder)) for folder in folders),
        )

    def _objective(self, inputs: OnPolicyDistilInputs, seed: int) -> "OnPolicy":
        from components.lib.inference.writing import WritingOptions
        from components.lib.models.config import end_ids
        from components.lib.models.folders import load_model, load_tokenizer
        from components.lib.objectives.distil import DistillationOptions
        from components.lib.objectives.on_policy import OnPolicy, OnPolicyOptions
        from components.lib.objectives.teachers import LiveTeacher
        from components.lib.text.chat import answer_end, padding_id

        tokenizer = load_tokenizer(inputs.student.path)
        writing = WritingOptions(
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            end_ids=end_ids(inputs.student.path) | {answer_end(tokenizer)},
            padding=padding_id(tokenizer),
        )
        options = DistillationOptions(self.divergence, alpha=1.0, beta=self.beta)
        teacher = LiveTeacher(load_model(inputs.teacher.path), self.top_k)
        return OnPolicy(teacher, writing, OnPolicyOptions(self.share, seed, options))


def on_policy_worker(payload: dict[str, Any]) -> None:
    """Distil in this process, one of a data-parallel group or alone; rank 0 saves the student."""
    from components.lib.models.folders import load_model
    from components.lib.training.session import train_and_save

    component = OnPolicyDistil.model_validate(payload["component"])
    inputs = OnPolicyDistilInputs.model_validate(payload["inputs"])
    model = load_model(inputs.student.path)
    with (inputs.instructions.path / "train.jsonl").open("rb") as lines:
        training = component.training.of(sum(1 for _ in lines))
    task = component.task(inputs, model, training)
    out, beside = Path(payload["out"]), inputs.student.path
    train_and_save(model, beside, task, training, out, component.lora)
