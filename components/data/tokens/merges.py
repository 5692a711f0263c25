"""More merges for a BPE tokenizer that exists: learnt on its own tokens, ranked after its own.

A merge that comes after all others is applied to what the tokenizer gave before. So each new token
stands exactly where the old ones that it is made of stood, and no other text is cut differently.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import pairwise

from tokenizers import Tokenizer

Pair = tuple[int, int]

_LEAST = 2  # a pair that is seen once makes no token
_WORD = re.compile("▁*[^▁]+|▁+")  # where a tokenizer marks spaces and cuts texts nowhere


def words_of(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[tuple[int, ...]]:
    """Return how often each word occurs, a word as the ids that a BPE tokenizer cuts it into.

    Its special tokens are read as text.
    """
    pieces = Counter[str]()
    for text in texts:
        pieces.update(_pieces(tokenizer, text))
    words = Counter[tuple[int, ...]]()
    for piece, count in pieces.items():
        words[tuple(token.id for token in tokenizer.model.tokenize(piece))] += count
    return words


def _pieces(tokenizer: Tokenizer, text: str) -> Iterator[str]:
    if tokenizer.normalizer is not None:
        text = tokenizer.normalizer.normalize_str(text)
    cut = [(text, (0, 0))]
    if tokenizer.pre_tokenizer is not None:
        cut = tokenizer.pre_tokenizer.pre_tokenize_str(text)
    for piece, _ in cut:
        yield from _WORD.findall(piece)


def learn(
    words: Counter[tuple[int, ...]], number: int, merged: Callable[[Pair], int | None]
) -> int:
    """Merge the most frequent pairs of neighbours; return how many there were, `number` at most.

    Byte-pair encoding (Sennrich et al. 2016). `merged` is asked for the id of a pair, the more
    frequent pair first, and says None of one that is to stay as it is. A pair that occurs once
    makes no token.
    """
    pairs, done = _Pairs(words), 0
    while done < number and (pair := pairs.most_frequent()) is not None:
        if (into := merged(pair)) is not None:
            pairs.merge(pair, into)
            done += 1
    return done


class _Pairs:
    """How often each pair of neighbours occurs, kept true while pairs are merged."""

    def __init__(self, words: Counter[tuple[int, ...]]) -> None:
        self._words = [list(word) for word in words]
        self._times = list(words.values())
        self._counts = Counter[Pair]()
        self._where = defaultdict[Pair, set[int]](set)
        for index in range(len(self._words)):
            self._add(index, 1)
        self._heap = [(-count, pair) for pair, count in self._counts.items()]
        heapify(self._heap)

    def _add(self, index: int, sign: int) -> set[Pair]:
        """Count the pairs of a word in, or out again; return them."""
        word = self._words[index]
        found = set(pairwise(word))
        for pair in pairwise(word):
            self._counts[pair] += sign * self._times[index]
        for pair in found:
            if sign > 0:
                self._where[pair].add(index)
            else:
                self._where[pair].discard(index)
        return found

    def most_frequent(self) -> Pair | None:
        """Return the pair that occurs most often, the smaller ids of two, and each just once."""
        while self._heap:
            negative, pair = heappop(self._heap)
            count = self._counts[pair]
            if count != -negative:  # it was merged away in part since
                if count:
                    heappush(self._heap, (-count, pair))
            elif count < _LEAST:
                return None
            else:
                return pair
        return None

    def merge(self, pair: Pair, into: int) -> None:
        """Set one id in place of two, from left to right, wherever they stand together."""
        changed: set[Pair] = set()
        for index in list(self._where[pair]):
            self._add(index, -1)
            self._words[index] = _merged(self._words[index], pair, into)
            changed |= self._add(index, 1)
        for each in changed:
            heappush(self._heap, (-self._counts[each], each))


def _merged(word: list[int], pair: Pair, into: int) -> list[int]:
    made: list[int] = []
    for token in word:
        if made and (made[-1], token) == pair:
            made[-1] = into
        else:
            made.append(token)
    return made
