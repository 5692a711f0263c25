"""How well a model knows texts that were set aside: bits per byte of each, by one rule for all."""

# B = windows at once, T = tokens of a window

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from components.lib.inference.held_out import Scorer
from components.lib.text.chat import beginning
from components.lib.text.tokens import bits_per_byte, byte_lengths

_WINDOWS_AT_ONCE = 4


class TextScore(NamedTuple):
    """What a model makes of a text."""

    bits_per_byte: float
    """Nats of all targets / (ln 2 x their bytes)."""
    perplexity: float
    """e to the mean nats of a target: of models with one tokenizer alone it can be compared."""
    num_tokens: int
    """Targets."""


class TextScorer:
    """Scores texts with one tokenizer."""

    def __init__(self, folder: Path, tokenizer: PreTrainedTokenizerFast, window: int) -> None:
        """Read at most `window` tokens at once; `folder` is the tokenizer's."""
        self._tokenizer, self._window = tokenizer, window
        self._begin = beginning(tokenizer)
        self._lengths = byte_lengths(folder, len(tokenizer))

    def score(self, model: Scorer, text: str, num_tokens: int) -> TextScore:
        """Return what `model` makes of the first `num_tokens` tokens of a text.

        They are cut into windows that do not overlap. The first token of a window is a target only
        where the tokenizer sets one before every text.

        Raises:
            ValueError: the text has fewer than two tokens.
        """
        whole = self._tokenizer.encode(text, add_special_tokens=False, verbose=False)
        ids = np.array(whole[:num_tokens])
        nats, num_bytes, count = 0.0, 0, 0
        for rows in self._windows(ids):  # (B, T + 1)
            skipped = max(0, len(self._begin) - 1)
            nats += float(model.negative_log_likelihood(rows)[:, skipped:].sum(dtype=np.float64))
            targets = rows[:, 1 + skipped :]
            num_bytes += int(self._lengths[targets].sum())
            count += targets.size
        if not count or not num_bytes:
            raise ValueError(f"A text of {len(ids)} tokens is too short to be measured.")
        return TextScore(bits_per_byte(nats, num_bytes), float(np.exp(nats / count)), count)

    def _windows(self, ids: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Yield windows of one length, several at once, and then what is left."""
        begin = np.array(self._begin, np.int64)
        size = self._window - len(begin)
        whole = ids[: len(ids) // size * size].reshape(-1, size)
        rest = ids[whole.size :][None]
        for start in range(0, len(whole), _WINDOWS_AT_ONCE):
            rows = whole[start : start + _WINDOWS_AT_ONCE]
            yield np.concatenate([np.tile(begin, (len(rows), 1)), rows], axis=1)
        if rest.shape[1] + len(begin) > 1:
            yield np.concatenate([begin[None], rest], axis=1)
