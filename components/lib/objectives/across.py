"""Distillation between vocabularies: what two models say of the same bytes of text."""

# B = sequences, T = tokens of a student's sequence, M = tokens of a teacher's, A = aligned places,
# C = chunks, V = vocabulary, K = what a byte may be

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

_END, _NOTHING = 256, 257  # what a next byte may be, apart from the 256: a document's end; no text
_KINDS = 258
_LEAST = 1e-9  # of a probability
_MOST = -1e-6  # ln of a probability: those of its opposite must be a number


class Bytes(NamedTuple):
    """What a model says of a batch, in bytes."""

    next_bytes: Tensor
    """ln p of what the next byte is, at the places where both models stand, (A, K)."""
    chunks: Tensor
    """ln p of each chunk, (C,)."""


class AcrossVocabularies(NextToken):
    """Predict each next token as the text does, and the text's bytes as the teacher does.

    At places where both tokenizers cut, a model's distribution over next tokens is added up to one
    over the next byte (256, and the end of a document), which does not depend on the vocabulary:
    `next_byte` is KL(teacher || student) of these. `chunk` compares the probability that both give
    to the shortest stretches that both read as whole tokens: the binary KL of Minixhofer et al.
    2025 (arXiv 2503.20083, section 3.1, with the temperature 1). The loss is (1 - alpha) x
    cross-entropy + alpha x (next_byte + chunk), each a mean over its own items.
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
        self._student_bytes, self._teacher_bytes = map(_first_bytes, vocabularies)

    def count(self, batch: Batch) -> dict[str, int]:
        """Return the targets, the places where both stand, and the chunks."""
        aligned = int((batch.extras[ALIGNED] >= 0).sum())
        chunks = len(_numbers(batch)[2])
        return {**super().count(batch), "next_byte": aligned, "chunk": chunks}

    def __call__(self, model: PreTrainedModel, batch: Batch) -> dict[str, Tensor]:
        """Return the terms in nats, weighed, each summed over its items."""
        output, targets = predict(model, batch)
        terms = self.terms(output.logits, targets)
        terms["cross_entropy"] = (1 - self._alpha) * terms["cross_entropy"]
        ours = self._of_student(output.logits, targets, batch)
        theirs = self._of_teacher(batch)
        next_byte = (theirs.next_bytes.exp() * (theirs.next_bytes - ours.next_bytes)).sum()
        chunk = _binary_kl(theirs.chunks, ours.chunks).sum()
        return {**terms, "next_byte": self._alpha * next_byte, "chunk": self._alpha * chunk}

    def _of_student(self, logits: Tensor, targets: Tensor, batch: Batch) -> Bytes:
        stands = put(batch.extras[ALIGNED] >= 0).flatten()
        chunks, _, names = _numbers(batch)
        return Bytes(
            _log_bytes(logits[stands], self._student_bytes),
            _log_chunks(logits, targets, put(chunks).flatten(), len(names)),
        )

    @torch.no_grad()
    def _of_teacher(self, batch: Batch) -> Bytes:
        inputs, targets = put(batch.extras[INPUTS]), put(batch.extras[TARGETS])
        with autocast():
            output: Any = self._teacher(input_ids=inputs, use_cache=False)
        aligned = batch.extras[ALIGNED]
        rows, places = np.nonzero(aligned >= 0)
        _, chunks, names = _numbers(batch)
        logits = output.logits  # (B, M, V)
        stands = logits[put(rows), put(aligned[rows, places])]
        flat = put(chunks).flatten()
        return Bytes(
            _log_bytes(stands, self._teacher_bytes),
            _log_chunks(logits.flatten(0, 1), targets.flatten(), flat, len(names)),
        )


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


def _first_bytes(vocabulary: TokenBytes) -> Tensor:
    """Return what the first byte of each token is, (V,)."""
    firsts = [token[0] if token else _NOTHING for token in vocabulary.tokens]
    firsts[vocabulary.end] = _END
    return torch.tensor(firsts, device=device())


def _log_bytes(logits: Tensor, firsts: Tensor) -> Tensor:
    """Return ln p of what the next byte is, (A, K), for logits (A, V)."""
    spare = logits.shape[1] - len(firsts)  # rows of the model that no token has
    kinds = F.pad(firsts, (0, spare), value=_NOTHING)
    shares = logits.float().softmax(1)
    return shares.new_zeros(len(shares), _KINDS).index_add(1, kinds, shares).clamp(min=_LEAST).log()


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
