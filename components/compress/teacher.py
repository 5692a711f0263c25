"""TeacherLogits: a teacher and token shards -> what it makes of them, so that it runs once."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TeacherScores, TokenShards, Vocabulary
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.disk import require_room, size
from components.core.files import size_of
from components.core.settings import settings
from components.core.tracking import spool
from components.lib.examples.packing import Packing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.lib.examples.batches import Examples
    from components.lib.examples.scored import ScoreWriter
    from components.lib.objectives.teachers import LiveTeacher

logger = logging.getLogger(__name__)

_TOKENS_AT_ONCE = 4096
_LOG_EVERY = 16  # batches


class TeacherLogitsInputs(Frozen):
    """What `TeacherLogits` reads."""

    teacher: Checkpoint
    """The model that is asked."""
    shards: TokenShards
    """The text that a student will read."""
    vocabulary: Vocabulary
    """The tokenizer that it was made with."""


class TeacherLogits(Component[TeacherLogitsInputs, TeacherScores]):
    """Let a teacher read a train split once, and keep its likeliest next tokens everywhere.

    All other tokens count as one more outcome, whose probability is kept too: a distillation from
    them has the exact loss of K + 1 outcomes, not one of a distribution that was cut and stretched.
    It takes 4 K + 2 bytes a token, or 6 K + 2 of a vocabulary of more than 65,536; the size is
    said, and the disk looked at, before it begins. A killed run goes on where it was.
    """

    version: ClassVar[str] = "1.0.0"

    top_k: int = Field(default=32, ge=1)
    """Tokens that are kept of each distribution."""
    temperature: float = Field(default=1.0, gt=0)
    """The logits are divided by it: the others' share cannot be found for another one later."""
    sequence_length: int = Field(default=256, ge=8)
    """Tokens of a sequence, and how they are cut, as the distillation's fields of these names."""
    packing: Packing = "stream"
    """`stream` or `best_fit`."""
    document_mask: bool = False
    """Whether documents of a sequence are hidden from each other."""
    num_draws: int | None = Field(default=None, ge=1)
    """Score only what a student sees that draws so many sequences (steps times batch size) in the
    order of `seed`; else the whole split."""
    seed: int = 0
    """Seed of that student's training."""

    def run(self, inputs: TeacherLogitsInputs, out: Path) -> TeacherScores:
        """Write the scores.

        Raises:
            ValueError: the teacher has other tokens or too short a context or cannot hide
                documents, there is no text, or the disk has too little room.
        """
        import torch

        from components.lib.examples.packed import sequences_of
        from components.lib.examples.scored import ScoreWriter, bytes_of_scores
        from components.lib.examples.shards import token_dtype
        from components.lib.models.folders import load_model
        from components.lib.models.teaching import require_hiding, require_teacher
        from components.lib.objectives.teachers import LiveTeacher

        require_teacher(inputs.teacher.path, inputs.vocabulary, inputs.shards, self.sequence_length)
        folder = inputs.shards.path / "train"
        examples = sequences_of(folder, self.sequence_length, self.packing, self.document_mask)
        sequences = self._chosen(len(examples))
        torch.set_num_threads(settings().num_threads)
        model = load_model(inputs.teacher.path)
        if self.document_mask:
            require_hiding(model)
        num_rows = model.config.get_text_config().vocab_size
        top_k, dtype = min(self.top_k, num_rows), token_dtype(num_rows)
        shape = (len(sequences), self.sequence_length, top_k)
        needed = bytes_of_scores(shape, dtype)
        logger.info("scores of %d sequences take %s", len(sequences), size(needed))
        require_room(out, needed - size_of(out, "*.npy"), "keeping the teacher's scores")
        writer = ScoreWriter(out, sequences, shape[1:], dtype)
        teacher = LiveTeacher(model, top_k, self.temperature)
        self._write(teacher, examples, writer, out)
        return TeacherScores(
            path=out,
            teacher=inputs.teacher.fingerprint,
            shards=inputs.shards.fingerprint,
            sequence_length=self.sequence_length,
            packing=self.packing,
            document_mask=self.document_mask,
            top_k=self.top_k,
            temperature=self.temperature,
            num_sequences=len(sequences),
            mean_rest=writer.progress.mean_rest(),
            bytes_on_disk=size_of(out, "*.npy"),
        )

    def _chosen(self, num_examples: int) -> "NDArray[np.int64]":
        """Return which sequences of the split are scored, ascending."""
        import numpy as np

        from components.lib.examples.permutation import examples_at

        if self.num_draws is None:
            return np.arange(num_examples)
        return np.unique(examples_at(np.arange(self.num_draws), num_examples, self.seed))

    def _write(
        self, teacher: "LiveTeacher", examples: "Examples", writer: "ScoreWriter", out: Path
    ) -> None:
        """Let the teacher read what is not scored yet."""
        at_once = max(1, _TOKENS_AT_ONCE // self.sequence_length)
        total = len(writer.sequences)
        for number, start in enumerate(range(writer.progress.sequences, total, at_once), 1):
            batch = examples.batch(writer.sequences[start : start + at_once])
            taught = teacher(batch)
            writer.add(batch, taught.ids.cpu().numpy(), taught.log_probabilities.cpu().numpy())
            if number % _LOG_EVERY == 0 or writer.progress.sequences == total:
                done = writer.progress
                point = {"progress": done.sequences / total, "mean_rest": done.mean_rest()}
                spool.append(out, done.sequences, point)
        writer.finish()
