"""Passages of documents that are unlike each other, of which items to plant are made."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from components.data.duplicates.minhash import words_of

_PASSAGES_OF_ONE = 3  # a document gives up to so many
_WORDS = 500  # longest passage
_DISTINCT = 1 / 3  # share of the shorter passage's n-grams from which on two are alike


def passages_of(text: str) -> list[str]:
    """Return the first passages of a text, as they stand in it."""
    spans = [word.span() for word in re.finditer(r"\S+", text)]
    runs = [spans[i : i + _WORDS] for i in range(0, len(spans), _WORDS)][:_PASSAGES_OF_ONE]
    full = runs[:1] + [run for run in runs[1:] if len(run) == _WORDS]
    return [text[run[0][0] : run[-1][1]] for run in full]


def distinct(passages: Sequence[str], number: int, ngram_size: int) -> list[str]:
    """Return the first passages that share less than `_DISTINCT` with each one before."""
    kept, sizes = list[str](), list[int]()
    holders = defaultdict[bytes, list[int]](list)
    for passage in passages:
        ngrams = ngrams_of(passage, ngram_size)
        shared = Counter(place for ngram in ngrams for place in holders.get(ngram, ()))
        if any(n >= _DISTINCT * min(len(ngrams), sizes[place]) for place, n in shared.items()):
            continue
        for ngram in ngrams:
            holders[ngram].append(len(kept))
        kept.append(passage)
        sizes.append(len(ngrams))
        if len(kept) == number:
            break
    return kept


def ngrams_of(text: str, size: int) -> set[bytes]:
    """Return the n-grams of a text; all its words are one if they are fewer."""
    words = words_of(text)
    return {b" ".join(words[at : at + size]) for at in range(max(1, len(words) - size + 1))}
