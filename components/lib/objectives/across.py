"""Distillation between vocabularies: what two models say of the same bytes of text."""

# B = sequences, T = tokens of a student's sequence, M = tokens of a teacher's, A = aligned places,
# C = chunks, V = vocabulary, K = pieces: tokens that both have, a document's end, anything else

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from components.lib.device import autocast, device, move, put
from components.lib.examples.aligned import (
    ALIGNED,
    INPUTS,
    STUDENT_CHUNKS,
    TARGETS,
    TEACHER_CHUNKS,
)
from components.lib.examples.batches import IGNORED, Batch
from components.lib.objectives.next_token import NextToken, predict
from components.lib.objectives.objective import LossOptions
from components.lib.text.token_bytes import TokenBytes

_END, _NOTHING = 0, 1  # pieces that are no token of both: a document's end; anything else
_LEAST = 1e-9  # of a probability
_MOST = -1e-6  # ln of a probability: those of its opposite must be a number


class Said(NamedTuple):
    """What a model says of a batch, in terms that both models have."""

    pieces: Tensor
    """ln p of what the next piece is, at the places where both models stand, (A, K)."""
    chunks: Tensor
    """ln p of each chunk, (C,)."""


class AcrossVocabularies(NextToken):
    """Predict each next token as the text does, and its bytes as the teacher does.

    At places where both tokenizers cut, each model's distribution over its next tokens is added up
    to one over pieces: tokens that both vocabularies have, by their bytes. A token that only one
    has counts for the longest piece that it begins with, as the other model would first say that.
    `piece` is KL(teacher || student) of these. (Boizard et al. 2024, arXiv 2402.12030, compare
    sorted probabilities instead, which do not say what is likely.) `chunk` compares the probability
    that both give to the shortest stretches of the text that both read as whole tokens: the binary
    KL of Minixhofer et al. 2025 (arXiv 2503.20083, section 3.1, with the temperature 1). The loss
    is (1 - alpha) x cross-entropy + alpha x (piece + chunk), each a mean over its own items.
    """

    def __init__(
        self,
        teacher: PreTrainedModel,
        vocabularies: tuple[TokenBytes, TokenBytes],
        alpha: float,
        loss: LossOptions | None = None,
    ) -> None:
        """Learn from `teacher`; `vocabularies` are the student's and the teacher's."""
        super().__init__(*(loss or LossOptions()))
        self._teacher, self._alpha = move(teacher).eval(), alpha
        self._student_pieces, self._teacher_pieces, self._num_pieces = pieces_of(*vocabularies)

    def count(self, batch: Batch) -> dict[str, int]:
        """Return the targets, the places where both stand, and the chunks."""
        aligned = int((batch.extras[ALIGNED] >= 0).sum())
        chunks = len(_numbers(batch)[2])
        return {**super().count(batch), "piece": aligned, "chunk": chunks}

    def __call__(self, model: PreTrainedModel, batch: Batch) -> dict[str, Tensor]:
        """Return the terms in nats, weighed, each summed over its items."""
        output, targets = predict(model, batch)
        terms = self.terms(output.logits, targets)
        terms["cross_entropy"] = (1 - self._alpha) * terms["cross_entropy"]
        ours = self._of_student(output.logits, targets, batch)
        theirs = self._of_teacher(batch)
        piece = (theirs.pieces.exp() * (theirs.pieces - ours.pieces)).sum()
        chunk = _binary_kl(theirs.chunks, ours.chunks).sum()
        return {**terms, "piece": self._alpha * piece, "chunk": self._alpha * chunk}

    def _of_student(self, logits: Tensor, targets: Tensor, batch: Batch) -> Said:
        stands = put(batch.extras[ALIGNED] >= 0).flatten()
        chunks, _, names = _numbers(batch)
        return Said(
            self._log_pieces(logits[stands], self._student_pieces),
            _log_chunks(logits, targets, put(chunks).flatten(), len(names)),
        )

    @torch.no_grad()
    def _of_teacher(self, batch: Batch) -> Said:
        inputs, targets = put(batch.extras[INPUTS]), put(batch.extras[TARGETS])
        with autocast():
            output: Any = self._teacher(input_ids=inputs, use_cache=False)
        aligned = batch.extras[ALIGNED]
        rows, places = np.nonzero(aligned >= 0)
        _, chunks, names = _numbers(batch)
        logits = output.logits  # (B, M, V)
        stands = logits[put(rows), put(aligned[rows, places])]
        flat = put(chunks).flatten()
        return Said(
            self._log_pieces(stands, self._teacher_pieces),
            _log_chunks(logits.flatten(0, 1), targets.flatten(), flat, len(names)),
        )

    def _log_pieces(self, logits: Tensor, pieces: Tensor) -> Tensor:
        """Return ln p of what the next piece is, (A, K), for logits (A, V)."""
        spare = logits.shape[1] - len(pieces)  # rows of the model that no token has
        places = F.pad(pieces, (0, spare), value=_NOTHING)
        shares = logits.float().softmax(1)
        empty = shares.new_zeros(len(shares), self._num_pieces)
        return empty.index_add(1, places, shares).clamp(min=_LEAST).log()


def _numbers(
    batch: Batch,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the chunks of a batch numbered through: of the student's targets, the teacher's, all.

    A chunk counts if both have a target of it; -1 stands for none.
    """
    keys: list[NDArray[np.int64]] = []
    for name in (STUDENT_CHUNKS, TEACHER_CHUNKS):
        own = batch.extras[name]
        base = np.arange(len(own))[:, None] * (1 << 32)
        keys.append(np.where(own >= 0, base + own, -1))
    keys[0][batch.targets == IGNORED] = -1
    shared = np.intersect1d(keys[0], keys[1])
    shared = shared[shared >= 0]
    numbered = [np.where(np.isin(k, shared), np.searchsorted(shared, k), -1) for k in keys]
    return numbered[0], numbered[1], shared


def pieces_of(student: TokenBytes, teacher: TokenBytes) -> tuple[Tensor, Tensor, int]:
    """Return the piece of each of the student's tokens and of the teacher's, both (V,), and K."""
    common = {token for token in student.tokens if token} & set(teacher.tokens)
    numbers = {token: number for number, token in enumerate(sorted(common), _NOTHING + 1)}
    found: list[Tensor] = []
    for vocabulary in (student, teacher):
        own = [_piece(token, numbers) for token in vocabulary.tokens]
        own[vocabulary.end] = _END
        found.append(torch.tensor(own, device=device()))
    return found[0], found[1], len(numbers) + _NOTHING + 1


def _piece(token: bytes, numbers: dict[bytes, int]) -> int:
    """Return the longest piece that a token begins with."""
    prefixes = (token[:length] for length in range(len(token), 0, -1))
    return next((numbers[each] for each in prefixes if each in numbers), _NOTHING)


def _log_chunks(logits: Tensor, targets: Tensor, chunks: Tensor, number: int) -> Tensor:
    """Return ln p of each chunk, (C,): that of its tokens together."""
    of_chunk = chunks >= 0
    some = logits[of_chunk].float()
    found = -F.cross_entropy(some, targets[of_chunk], reduction="none")
    return found.new_zeros(number).index_add(0, chunks[of_chunk], found)


def _binary_kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Return KL of what happens or does not, for ln p of both, (C,)."""
    teacher, student = teacher.clamp(max=_MOST), student.clamp(max=_MOST)
    share = teacher.exp()
    against = torch.log1p(-share) - torch.log1p(-student.exp())
    return share * (teacher - student) + (1 - share) * against
