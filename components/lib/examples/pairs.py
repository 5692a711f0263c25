"""Preference pairs as examples: a prompt with the answer that was chosen, and with the other."""

# B = sequences of a batch, T = tokens of a sequence, S = pairs of a sequence at most

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from components.lib.examples.batches import Batch
from components.lib.examples.dialogues import Stretch, answered, pack, place
from components.lib.text.chat import answer_end, padding_id
from components.lib.text.dialogue import Comparison
from components.lib.text.rendered import Rendered, Renderer

COMPARISONS = "comparisons.jsonl"
PAIRS = "pairs"  # (B, S) of a batch's extras: the line of the pair there, -1 for none
ANSWERS = (
    "answers"  # (B, T): 1 + 2 S for a token of S's chosen answer, 2 + 2 S of the other, else 0
)

_BUCKETS = 1000  # a prompt falls into one of them, and by that on a side


class Pair(NamedTuple):
    """A prompt, answered twice."""

    line: int
    """Where it stands in its file, from 0."""
    prompt: str
    """What was answered, rendered."""
    chosen: Stretch
    """The prompt and the answer that was preferred."""
    rejected: Stretch
    """The prompt and the other answer."""


class EncodedPairs(NamedTuple):
    """The pairs of a file: those that can be learnt from, and why the others cannot."""

    pairs: list[Pair]
    """In the order of the file."""
    left_out: dict[int, str]
    """The reason for each other line."""

    def sides(self, held_out_share: float) -> tuple[list[Pair], list[Pair]]:
        """Return what is trained on, and what is held out: all pairs of a prompt on one side.

        A prompt's side is a function of its text. Where none would be left to train on, none is
        held out.
        """
        limit = round(held_out_share * _BUCKETS)
        sides: tuple[list[Pair], list[Pair]] = ([], [])
        for pair in self.pairs:
            sides[crc32(pair.prompt.encode()) % _BUCKETS < limit].append(pair)
        return sides if sides[0] else (self.pairs, [])

    def reasons(self) -> dict[str, int]:
        """Return how many pairs were left out for each reason."""
        return dict(Counter(self.left_out.values()))


def read_pairs(folder: Path, tokenizer: PreTrainedTokenizerFast, max_length: int) -> EncodedPairs:
    """Encode `comparisons.jsonl`, or `pairs.jsonl`: rendered prompts, and answers.

    The end of an answer is learnt too, earlier answers of a dialogue are not. What looks like a
    special token in an answer is text. Pairs are left out whose answers are the same, that the chat
    template does not render, or one of whose answers is empty or does not fit into `max_length`
    tokens with its prompt.

    Raises:
        ValueError: no pair is left.
    """
    pairs: list[Pair] = []
    left_out: dict[int, str] = {}
    file = folder / COMPARISONS
    rows = list(_compared(file, tokenizer) if file.exists() else _sampled(folder, tokenizer))
    for line, row in enumerate(rows):
        chosen, rejected = row.sides
        if isinstance(chosen, str) or isinstance(rejected, str):
            left_out[line] = "the template does not render it"
        elif (reason := _unusable(row, chosen, rejected, max_length)) is not None:
            left_out[line] = reason
        else:
            pairs.append(Pair(line, row.prompt, chosen, rejected))
    found = EncodedPairs(pairs, left_out)
    if not pairs:
        counts = ", ".join(f"{reason}: {count}" for reason, count in found.reasons().items())
        raise ValueError(
            f"None of the {len(rows)} pairs in {folder} can be learnt from ({counts or 'no lines'})"
            f". Give pairs of two different answers that fit into {max_length} tokens."
        )
    return found


class _Row(NamedTuple):
    """A line of a file of pairs."""

    prompt: str
    """What was answered, as text."""
    answers: tuple[str, str]
    """The one that was chosen, and the other."""
    sides: tuple[Stretch | str, Stretch | str]
    """The prompt with each, as tokens; or why it has none."""


def _sampled(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Iterator[_Row]:
    """Yield the rows of `pairs.jsonl`, whose prompts are rendered already."""
    end = answer_end(tokenizer)
    with (folder / "pairs.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            prompt, chosen, rejected = row["prompt"], row["chosen"], row["rejected"]
            asked = tokenizer.encode(prompt, add_special_tokens=False)
            given = (
                tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
                for text in (chosen, rejected)
            )
            one, other = (answered(asked, [*answer, end]) for answer in given)
            yield _Row(prompt, (chosen, rejected), (one, other))


def _compared(file: Path, tokenizer: PreTrainedTokenizerFast) -> Iterator[_Row]:
    """Yield the rows of `comparisons.jsonl`, rendered by the chat template."""
    with file.open(encoding="utf-8") as lines:
        rows = [Comparison.model_validate_json(line) for line in lines]
    dialogues = (dialogue for row in rows for dialogue in row.dialogues())
    rendered = map(_last_answer, Renderer(tokenizer).render(dialogues))
    for row in rows:
        one, other = next(rendered), next(rendered)
        prompt = json.dumps([message.model_dump() for message in row.prompt], ensure_ascii=False)
        yield _Row(prompt, (row.chosen, row.rejected), (one, other))


def _last_answer(rendered: Rendered | str) -> Stretch | str:
    if isinstance(rendered, str):
        return rendered
    start = rendered.prompt_length()
    return answered(rendered.ids[:start], rendered.ids[start:])


def _unusable(row: _Row, chosen: Stretch, rejected: Stretch, max_length: int) -> str | None:
    if row.answers[0] == row.answers[1]:
        return "both answers are the same"
    if not all(answer.strip() for answer in row.answers):
        return "an answer is empty"
    if max(len(chosen.inputs), len(rejected.inputs)) > max_length:
        return f"longer than {max_length} tokens"
    return None


class PairExamples:
    """Examples of preference training; a batch's pairs are packed, each whole in one sequence.

    All that a sequence holds is hidden from the rest of it, so the log-probabilities are those of
    each answer alone, and a pair is never cut by micro-batches or processes.
    """

    def __init__(
        self, pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerFast, sequence_length: int
    ) -> None:
        """Give batches of `pairs` in sequences of so many tokens, or of the longest pair's."""
        self._pairs = pairs
        self._padding = padding_id(tokenizer)
        self._sequence_length = sequence_length

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._pairs)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the chosen pairs, packed; the extras say which token is whose."""
        chosen = [self._pairs[index] for index in indices.tolist()]
        stretches = [stretch for pair in chosen for stretch in (pair.chosen, pair.rejected)]
        batch = pack(stretches, self._sequence_length, self._padding, together=2)
        lines = [pair.line for pair in chosen]
        extras = _whose(stretches, lines, self._sequence_length)
        return Batch(batch.inputs, batch.targets, {**batch.extras, **extras}, batch.lengths)


def _whose(
    stretches: list[Stretch], lines: list[int], sequence_length: int
) -> dict[str, NDArray[np.int64]]:
    """Return the extras of a batch of pairs: which pair each slot and each token belongs to."""
    sizes = np.array([len(stretch.inputs) for stretch in stretches])
    placed = place(sizes, sequence_length, together=2)
    per_row = np.bincount(placed.rows[::2])
    pairs = np.full((len(per_row), int(per_row.max())), -1)
    answers = np.zeros((len(per_row), placed.length), np.int64)
    used = np.zeros(len(per_row), np.int64)
    for number, (row, start, size) in enumerate(
        zip(placed.rows.tolist(), placed.starts.tolist(), sizes.tolist(), strict=True)
    ):
        is_rejected = number % 2
        slot = used[row] - is_rejected  # the chosen answer has taken it
        answers[row, start : start + size] = 1 + 2 * slot + is_rejected
        if not is_rejected:
            pairs[row, slot] = lines[number // 2]
            used[row] += 1
    return {PAIRS: pairs, ANSWERS: answers}
