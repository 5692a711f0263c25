"""BERT's examples (Devlin et al. 2018): pairs of segments with hidden tokens."""

# B = pairs, T = tokens of a pair, W = words of text of a pair: T - 3, N = masked tokens

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from components.lib.examples.batches import IGNORED, Batch
from components.lib.examples.document_windows import DocumentWindows
from components.lib.examples.permutation import random_words
from components.lib.text.chat import CLS, END_OF_TEXT, MASK, PADDING, token_id

MASKED_SHARE = 0.15  # of a pair's text; of these 80 % are masked, 10 % random, 10 % as they were
_HIDDEN_BELOW, _RANDOM_BELOW = 0.8, 0.9

# streams of random numbers; each example has its own
_SPLIT, _IS_RANDOM, _OTHER, _CHOICE, _FATE, _WORD = range(6)


class PairTokens(NamedTuple):
    """Token ids that frame and hide text, and how many ids there are."""

    classify: int
    separator: int
    mask: int
    padding: int
    vocab_size: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> "PairTokens":
        """Return those of a tokenizer of the platform."""
        classify, separator, mask, padding = (
            token_id(tokenizer, token) for token in (CLS, END_OF_TEXT, MASK, PADDING)
        )
        return cls(classify, separator, mask, padding, len(tokenizer))


class MaskedSentencePairs:
    """Pairs of segments, [CLS] A [SEP] B [SEP], with 15 % of their text to be filled in.

    B follows A in its document, or, in half of the pairs, is the beginning of a stretch of another
    document. A has a quarter to three quarters of the words. All is a pure function of the seed
    and the example's index, on any number of workers; so an example has the same masks in every
    epoch, as in Devlin et al., not new ones, as in RoBERTa (Liu et al. 2019).

    A batch has `token_type_ids` (B, T), 1 from B on, and `next_sentence` (B,), 1 where B does not
    follow A: transformers' convention. A shorter pair is padded after the last [SEP].
    """

    def __init__(self, folder: Path, length: int, tokens: PairTokens, seed: int) -> None:
        """Cut the documents of the shards in `folder` for pairs of `length` = T tokens.

        Raises:
            ValueError: there are fewer than two documents long enough.
        """
        self._windows = DocumentWindows(folder, length - 3, tokens.separator)
        self._length, self._tokens, self._seed = length, tokens, seed

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._windows)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the chosen pairs; targets are the hidden tokens alone."""
        is_random = self._chance(_IS_RANDOM, indices) < 0.5
        split = 0.25 + 0.5 * self._chance(_SPLIT, indices)
        others = self._windows.elsewhere(indices, self._words(_OTHER, indices))
        ids = np.full((len(indices), self._length), self._tokens.padding, np.int64)
        types = np.zeros_like(ids)
        lengths = np.empty(len(indices), np.int64)
        for row, index in enumerate(indices.tolist()):
            text = self._windows.text(index)
            cut = max(1, int(split[row] * len(text)))
            first, second = text[:cut], text[cut:]
            if is_random[row]:
                second = self._windows.text(int(others[row]))[: len(second)]
            frame = [[self._tokens.classify], first, [self._tokens.separator], second]
            pair = np.concatenate([*frame, [self._tokens.separator]])
            ids[row, : len(pair)], lengths[row] = pair, len(pair)
            types[row, len(first) + 2 : len(pair)] = 1
        inputs, targets = self._masked(ids, indices)
        extras = {"token_type_ids": types, "next_sentence": is_random.astype(np.int64)}
        return Batch(inputs, targets, extras, lengths)

    def _masked(
        self, ids: NDArray[np.int64], indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return inputs and targets (B, T): of each row 15 % of the text, one token at least."""
        frame = [self._tokens.classify, self._tokens.separator, self._tokens.padding]
        is_text = ~np.isin(ids, frame)
        places = indices[:, None] * self._length + np.arange(self._length)  # a counter each
        order = np.where(is_text, self._chance(_CHOICE, places), 2.0)
        rank = order.argsort(axis=1).argsort(axis=1)
        number = np.maximum(1, np.rint(MASKED_SHARE * is_text.sum(1))).astype(np.int64)
        is_target = rank < number[:, None]
        fate = self._chance(_FATE, places)
        words = self._words(_WORD, places) % np.uint64(self._tokens.vocab_size)
        changed = np.where(fate < _RANDOM_BELOW, words.astype(np.int64), ids)
        changed = np.where(fate < _HIDDEN_BELOW, self._tokens.mask, changed)
        return np.where(is_target, changed, ids), np.where(is_target, ids, IGNORED)

    def _words(self, stream: int, counters: NDArray[np.int64]) -> NDArray[np.uint64]:
        return random_words(counters, self._seed * 8 + stream)

    def _chance(self, stream: int, counters: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return numbers from 0 to 1 with 53 random bits."""
        return (self._words(stream, counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53
