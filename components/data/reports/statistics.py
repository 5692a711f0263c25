"""What the documents of a corpus are like: lengths, languages, domains and frequent phrases."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from components.core.artifacts.base import Frozen
from components.data.document import Document
from components.data.pieces import Piece, work_through

_WORD = re.compile(r"\w+")
_SAMPLE_WORDS = 100_000  # of a piece, whose phrases are counted
_NUM_PHRASES = 2_000  # of a piece, that are told
_NGRAM_SIZES = (1, 3, 5)


class SourceStatistics(Frozen):
    """What the documents of one source are."""

    documents: int
    """Documents of all splits."""
    bytes: int
    """UTF-8 bytes of their text."""
    words: int
    """Runs of letters and digits."""
    licences: dict[str, int]
    """Documents by what `--license` said of them; `not stated` if nothing."""


class Statistics(Frozen):
    """What the documents of a corpus are like."""

    by_source: dict[str, SourceStatistics]
    """By source."""
    languages: dict[str, int]
    """Documents by language, as cleaning found it."""
    domains: dict[str, int]
    """Documents by the host that they came from, the most frequent first."""
    words: dict[str, int]
    """Documents by their number of words, in bins that double: `64-127`, then `128-255`."""
    ngrams: dict[str, dict[str, int]]
    """The most frequent runs of 1, 3 and 5 words in a sample, by their number of words."""

    def percentile(self, share: float) -> float:
        """Return the number of words below which a share of the documents lie, interpolated."""
        target, below = share * sum(self.words.values()), 0
        for name, number in self.words.items():
            low = _low(name)
            if below + number >= target:
                return low + (target - below) / number * max(low, 1)
            below += number
        return 0.0


def measure(pieces: Sequence[Piece], out: Path, num_top: int = 20) -> Statistics:
    """Measure the documents of `pieces`; writes nothing."""
    answers = work_through(f"{__name__}:measure_piece", pieces, out, {})
    sources = sorted({source for answer in answers for source in answer["documents"]})
    total = {name: _sum(answer[name] for answer in answers) for name in answers[0]}
    words = {name: total["lengths"][name] for name in sorted(total["lengths"], key=_low)}
    return Statistics(
        by_source={
            source: SourceStatistics(
                documents=total["documents"][source],
                bytes=total["bytes"][source],
                words=total["words"][source],
                licences=_of_source(total["licences"], source),
            )
            for source in sources
        },
        languages=dict(total["languages"].most_common()),
        domains=dict(total["domains"].most_common(num_top)),
        words=words,
        ngrams={str(size): _top(total["ngrams"], size, num_top) for size in _NGRAM_SIZES},
    )


def measure_piece(piece: Piece, out: Path, payload: dict[str, Any]) -> dict[str, Any]:
    """Measure the documents of a piece; the answer has a histogram for each of `_COUNTED`."""
    found = {name: Counter[str]() for name in _COUNTED}
    num_sampled = 0
    for document in piece.documents():
        words = _WORD.findall(document.text.casefold())
        _count(found, document, len(words))
        if num_sampled < _SAMPLE_WORDS:
            sampled = words[: _SAMPLE_WORDS - num_sampled]
            num_sampled += len(sampled)
            for size in _NGRAM_SIZES:
                shifted = (islice(sampled, n, None) for n in range(size))
                found["ngrams"].update(" ".join(run) for run in zip(*shifted, strict=False))
    phrases = [_top(found["ngrams"], size, _NUM_PHRASES) for size in _NGRAM_SIZES]
    found["ngrams"] = _sum(phrases)
    return dict(found)


_COUNTED = (
    "documents",
    "bytes",
    "words",
    "licences",
    "languages",
    "domains",
    "lengths",
    "ngrams",
)


def _count(found: dict[str, Counter[str]], document: Document, num_words: int) -> None:
    source, known = document.source, document.metadata
    found["documents"][source] += 1
    found["bytes"][source] += len(document.text.encode())
    found["words"][source] += num_words
    found["licences"][f"{source}/{known.get('license', 'not stated')}"] += 1
    found["languages"][str(known.get("language", "not identified"))] += 1
    found["lengths"][_bin(num_words)] += 1
    if host := urlsplit(str(known.get("url", known.get("source", "")))).hostname:
        found["domains"][host] += 1


def _sum(counts: Iterable[dict[str, int]]) -> Counter[str]:
    total = Counter[str]()
    for count in counts:
        total.update(count)
    return total


def _top(ngrams: Counter[str], size: int, number: int) -> dict[str, int]:
    """Return the most frequent n-grams of `size` words; of equals, the first by name."""
    sized = ((count, name) for name, count in ngrams.items() if name.count(" ") == size - 1)
    ordered = sorted(sized, key=lambda each: (-each[0], each[1]))
    return {name: count for count, name in ordered[:number]}


def _of_source(counts: Counter[str], source: str) -> dict[str, int]:
    prefix = f"{source}/"
    return {k.removeprefix(prefix): n for k, n in counts.items() if k.startswith(prefix)}


def _bin(num_words: int) -> str:
    low = 1 << num_words.bit_length() >> 1
    return f"{low}-{2 * low - 1}" if low else "0-0"


def _low(name: str) -> int:
    """Return the least number of words of a bin."""
    return int(name.split("-")[0])
