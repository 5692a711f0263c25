"""What a document shares with evaluation items: which ones, where, and the words."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from components.data.overlap.index import Hit, Overlap
from components.data.overlap.letters import letters, places

Key = TypeVar("Key")

_BATCH_CHARACTERS = 1 << 16
_NAMED_ITEMS = 10
_SHOWN_CHARACTERS = 300


class Shared(NamedTuple):
    """What a document shares with evaluation items."""

    sets: list[str]
    """The evaluation sets, in the order in which the document comes to them."""
    items: str
    """Names of at most ten items."""
    words: str
    """The longest passage, at most 300 characters of it."""
    passages: list[tuple[int, int]]
    """First character of each passage and the one after its last, in order."""


def shared(index: Overlap, text: str) -> Shared | None:
    """Return what `text` shares with the items of `index`, or None."""
    hits = index.hits(letters(text))
    if not hits:
        return None
    items = list(dict.fromkeys(int(index.items[hit.ngram]) for hit in hits))
    names = [index.listing.names[item] for item in items]
    passages = _passages(text, hits)
    start, end = max(passages, key=lambda passage: passage[1] - passage[0])
    return Shared(
        sets=list(dict.fromkeys(index.listing.sets[item] for item in items)),
        items=", ".join(names[:_NAMED_ITEMS] + ["..."] * (len(names) > _NAMED_ITEMS)),
        words=text[start:end][:_SHOWN_CHARACTERS],
        passages=passages,
    )


def search(index: Overlap, texts: Iterable[tuple[Key, str]]) -> Iterator[tuple[Key, Shared | None]]:
    """Yield each key with what its text shares with the items of `index`.

    Texts are searched many at a time, then one by one if anything is found: a search of a few
    thousand letters takes as long as one of twice as many.
    """
    for batch in _batches(texts):
        is_clean = not index.hits(letters("\n".join(text for _, text in batch)))
        for key, text in batch:
            yield key, None if is_clean else shared(index, text)


def _batches(texts: Iterable[tuple[Key, str]]) -> Iterator[list[tuple[Key, str]]]:
    batch, size = list[tuple[Key, str]](), 0
    for key, text in texts:
        batch.append((key, text))
        size += len(text)
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _passages(text: str, hits: Sequence[Hit]) -> list[tuple[int, int]]:
    ends = [place for hit in hits for place in (hit.start, hit.end - 1)]
    found = list[tuple[int, int]]()
    for start, last in sorted(map(tuple, places(text, np.array(ends)).reshape(-1, 2).tolist())):
        end = last + 1
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
