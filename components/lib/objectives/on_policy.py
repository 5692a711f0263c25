"""On-policy distillation (Agarwal et al. 2023, arXiv 2306.13649): learn where one errs oneself."""

# B = sequences of a batch, N = positions with a loss, K = tokens that are kept of a distribution

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from components.lib.device import device, put
from components.lib.examples.batches import IGNORED, Batch
from components.lib.examples.dialogues import Stretch, answered, one_a_row
from components.lib.examples.questions import PROMPTS, VISITS
from components.lib.group import Group
from components.lib.inference.writing import WritingOptions, uniform, write
from components.lib.objectives.distil import DistillationOptions, divergence
from components.lib.objectives.next_token import model_inputs, predict
from components.lib.objectives.objective import Objective
from components.lib.objectives.teachers import LiveTeacher, with_loss


class OnPolicyOptions(NamedTuple):
    """What a recipe asks of it."""

    share: float
    """Share of the sequences that the student writes itself; the others have reference answers."""
    seed: int
    """Of what is written."""
    distillation: DistillationOptions
    """How the student is compared with the teacher; `alpha` does not count."""


class OnPolicy(Objective):
    """Bring a student to say what its teacher would, after what the student itself has written.

    Each sequence is a question and an answer: the student's own, drawn as it stands now, or the
    reference. The loss of a sequence is the mean divergence over the tokens of its answer, and no
    gradient goes through the drawing (Agarwal et al. 2023, equation 2). What is written for a
    visit is a function of its number, the seed and the weights, however a batch is cut.
    """

    def __init__(
        self, teacher: LiveTeacher, writing: WritingOptions, options: OnPolicyOptions
    ) -> None:
        """Learn from `teacher`, whose scores are of the temperature in `options`."""
        self._teacher, self._writing, self._options = teacher, writing, options
        self._seen: Tensor | None = None  # answers, their tokens, those that ended

    def count(self, batch: Batch) -> dict[str, int]:
        """Return the number of sequences."""
        return {"distillation": len(batch)}

    def __call__(self, model: PreTrainedModel, batch: Batch) -> dict[str, Tensor]:
        """Return the loss, summed over the sequences."""
        if VISITS not in batch.extras:  # a process that has no question still takes part
            return {"distillation": model(**model_inputs(batch), use_cache=False).logits.sum() * 0}
        answers = one_a_row(self._answers(model, batch), self._writing.padding)
        taught = self._teacher(answers)
        output, targets = predict(model, answers)
        logits = with_loss(output.logits, targets)
        found = divergence(logits, taught, self._options.distillation)  # (N,)
        has_target = answers.targets != IGNORED
        shares = np.broadcast_to(1 / has_target.sum(1, keepdims=True), has_target.shape)
        weights = put(shares[has_target].astype(np.float32))
        scale = self._options.distillation.temperature**2
        return {"distillation": scale * (weights * found).sum()}

    def observed(self, group: Group) -> dict[str, float]:
        """Return how long the student's answers were since the last call, and how many ended."""
        if self._seen is None:
            return {}
        answers, tokens, ended = group.sum(self._seen).tolist()
        self._seen = None
        return {"answer_tokens": tokens / answers, "answers_ended": ended / answers}

    def _answers(self, model: PreTrainedModel, batch: Batch) -> list[Stretch]:
        """Return each question with the answer that is learnt from."""
        prompts, visits = batch.extras[PROMPTS][:, 0], batch.extras[VISITS][:, 0]
        numbers = uniform(visits, self._writing.max_new_tokens + 1, self._options.seed)
        writes = numbers[:, 0] < self._options.share
        found = [
            Stretch(batch.inputs[row, :width], batch.targets[row, :width])
            for row, width in enumerate(batch.widths().tolist())
        ]
        chosen = np.flatnonzero(writes).tolist()
        if chosen:
            asked = [batch.inputs[row, : prompts[row]].tolist() for row in chosen]
            written = write(model, asked, numbers[chosen, 1:], self._writing)
            for row, prompt, answer in zip(chosen, asked, written, strict=True):
                found[row] = answered(prompt, answer)
            self._observe(written)
        return found

    def _observe(self, written: list[list[int]]) -> None:
        ended = sum(answer[-1] in self._writing.end_ids for answer in written)
        sums = [len(written), sum(map(len, written)), ended]
        seen = torch.tensor(sums, dtype=torch.float64, device=device())
        self._seen = seen if self._seen is None else self._seen + seen
