"""Dialogues as examples of supervised fine-tuning, several packed into a sequence."""

# B = sequences of a batch, T = tokens of a sequence, t = tokens of one stretch

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from components.lib.examples.batches import IGNORED, POSITIONS, Batch
from components.lib.examples.packing import best_fit
from components.lib.examples.windows import positions
from components.lib.text.chat import padding_id
from components.lib.text.dialogue import Dialogue
from components.lib.text.rendered import Rendered, Renderer


class Stretch(NamedTuple):
    """Tokens that see each other and nothing else."""

    inputs: NDArray[np.int64]
    """Token ids, (t,)."""
    targets: NDArray[np.int64]
    """What each must predict, IGNORED where there is no loss, (t,)."""


class Dialogues:
    """Examples of supervised fine-tuning: dialogues, of which the answers alone have a loss.

    An example is one dialogue. A batch is the dialogues that were chosen, packed into as few
    sequences of one length as best fit finds, each dialogue hidden from the others: the losses are
    those of every dialogue alone, without the padding. So which dialogues a step sees does not
    depend on how they are packed, and no dialogue always has the same neighbours.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        dialogues: Sequence[Dialogue],
        sequence_length: int,
        packs: bool = True,
    ) -> None:
        """Encode by the tokenizer's chat template, for sequences of this many tokens.

        A dialogue is encoded when it is first asked for. A batch with a longer one has sequences of
        its length: nothing is cut. Unless it `packs`, a sequence has one dialogue, for models that
        hide none from another.

        Raises:
            ValueError: the tokenizer has no chat template, or names no token that ends an answer.
        """
        self.dialogues = dialogues
        self._renderer = Renderer(tokenizer)
        self._padding = padding_id(tokenizer)
        self._sequence_length = sequence_length
        self._packs = packs
        self._stretches: dict[int, Stretch] = {}

    def __len__(self) -> int:
        """Return the number of dialogues."""
        return len(self.dialogues)

    def stretches(self, indices: Sequence[int]) -> list[Stretch]:
        """Return dialogues as tokens.

        Raises:
            ValueError: the chat template does not render one of them.
        """
        new = [index for index in dict.fromkeys(indices) if index not in self._stretches]
        found = self._renderer.render([self.dialogues[index] for index in new])
        for index, rendered in zip(new, found, strict=True):
            if isinstance(rendered, str):
                raise ValueError(f"Dialogue {self.dialogues[index].id}: {rendered}")
            self._stretches[index] = _stretch(rendered)
        return [self._stretches[index] for index in indices]

    def batch(self, indices: NDArray[np.int64], beside: Sequence[Stretch] = ()) -> Batch:
        """Return the chosen dialogues, and what else is to be learnt `beside` them, packed."""
        chosen = self.stretches(indices.tolist())
        if not self._packs:
            return one_a_row([*chosen, *beside], self._padding)
        return pack([*chosen, *beside], self._sequence_length, self._padding)


def _stretch(rendered: Rendered) -> Stretch:
    ids = np.array(rendered.ids)
    return Stretch(ids[:-1], np.where(rendered.is_learnt[1:], ids[1:], IGNORED))


def answered(prompt: list[int], answer: list[int]) -> Stretch:
    """Return a prompt and its answer, of which the answer alone bears a loss."""
    ids = np.array(prompt + answer)
    targets = ids[1:].copy()
    targets[: len(prompt) - 1] = IGNORED
    return Stretch(ids[:-1], targets)


def one_a_row(stretches: Sequence[Stretch], padding: int) -> Batch:
    """Return a batch with a stretch a sequence, each padded after its end."""
    ends = np.array([len(stretch.inputs) for stretch in stretches])
    shape = (len(stretches), int(ends.max()))
    inputs, targets = np.full(shape, padding), np.full(shape, IGNORED)
    for row, (stretch, end) in enumerate(zip(stretches, ends.tolist(), strict=True)):
        inputs[row, :end], targets[row, :end] = stretch
    return Batch(inputs, targets, lengths=ends)


class Placement(NamedTuple):
    """Where stretches lie in the sequences of a batch."""

    rows: NDArray[np.int64]
    """The sequence of each stretch, (stretches,)."""
    starts: NDArray[np.int64]
    """The position of its first token there, (stretches,)."""
    length: int
    """Tokens of a sequence."""


def place(sizes: NDArray[np.int64], sequence_length: int, together: int = 1) -> Placement:
    """Place stretches of some sizes in as few sequences as best fit finds.

    A pure function of the sizes. Each `together` stretches in a row lie side by side in one
    sequence. Sequences are as long as the longest of these where that is longer than
    `sequence_length`.
    """
    bundles = sizes.reshape(-1, together).sum(1)
    length = max(sequence_length, int(bundles.max()))
    rows = best_fit(bundles, length).repeat(together)
    starts = np.empty_like(sizes)
    ends = np.zeros(int(rows.max()) + 1, np.int64)
    for index, (row, size) in enumerate(zip(rows.tolist(), sizes.tolist(), strict=True)):
        starts[index] = ends[row]
        ends[row] += size
    return Placement(rows, starts, length)


def pack(
    stretches: Sequence[Stretch], sequence_length: int, padding: int, together: int = 1
) -> Batch:
    """Return a batch of sequences that hold each stretch whole, where `place` puts it.

    Positions begin again at 0 in each stretch, which hides it from the others (see
    `model_inputs`), and in each token of the padding after them.
    """
    sizes = np.array([len(stretch.inputs) for stretch in stretches])
    placed = place(sizes, sequence_length, together)
    shape = (int(placed.rows.max()) + 1, placed.length)
    inputs, targets = np.full(shape, padding), np.full(shape, IGNORED)
    begins = np.ones(shape, bool)
    ends = np.zeros(len(inputs), np.int64)
    for stretch, row, start in zip(
        stretches, placed.rows.tolist(), placed.starts.tolist(), strict=True
    ):
        end = start + len(stretch.inputs)
        inputs[row, start:end], targets[row, start:end] = stretch
        begins[row, start + 1 : end] = False
        ends[row] = end
    return Batch(inputs, targets, {POSITIONS: positions(begins)}, lengths=ends)
