"""datatrove's words and sentences, many times as fast, for its filters to count.

datatrove cuts text by spaCy, whose rules look at one run between blanks at a time. So each run is
cut once and remembered: the words are the same, and a text mostly has runs that were seen before.
"""

import re
from functools import cache
from itertools import accumulate, chain, pairwise
from typing import Any, NamedTuple

_REMEMBERED = 3_000_000  # characters of runs: some 300,000 of them, about 100 MB
_BREAKS_SPACY = "IS_ALPHA"  # from its second time on: datatrove then cuts the text without it
_BETWEEN = "\n"  # no rule of spaCy joins words over it
_NEW_SENTENCE = re.compile("e[pe]*(?=w)")  # as spaCy's sentencizer decides


class _Run(NamedTuple):
    words: list[str]
    kinds: str  # of each word: e ends a sentence, p is other punctuation, w is none
    lengths: list[int]  # of each word, with the blank after the last one


@cache
def tokenizer(language: str) -> Any:
    """Return a datatrove `WordTokenizer` for an ISO 639 code.

    Raises ValueError if datatrove has none, and ImportError if it needs another package.
    """
    from datatrove.utils.word_tokenizers import SpaCyTokenizer, load_word_tokenizer
    from spacy.tokenizer import Tokenizer

    found = load_word_tokenizer(language)
    rules = isinstance(found, SpaCyTokenizer) and isinstance(found.tokenizer.tokenizer, Tokenizer)
    return _remembering(found) if rules else found


def _remembering(spacy: Any) -> Any:
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Remembering(WordTokenizer):
        """Cuts a run between blanks as `spacy` does, once."""

        def __init__(self) -> None:
            super().__init__(spacy.language)
            self._known: dict[str, _Run] = {}
            self._size = 0

        def word_tokenize(self, text: str) -> list[str]:
            return list(chain.from_iterable(run.words for run in self._runs(text)))

        def sent_tokenize(self, text: str) -> list[str]:
            sentences = (text[start:end].strip() for start, end in self.span_tokenize(text))
            return [sentence for sentence in sentences if sentence]

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            text = text.replace(_BREAKS_SPACY, _BREAKS_SPACY.lower())
            if not text or text != " ".join(text.split()):
                return spacy.span_tokenize(text)
            runs = self._runs(text)
            starts = [0, *accumulate(chain.from_iterable(run.lengths for run in runs))]
            kinds = "".join(run.kinds for run in runs)
            cuts = [starts[new.end()] for new in _NEW_SENTENCE.finditer(kinds)]
            return [
                (start, end - (text[end - 1] == " "))
                for start, end in pairwise((0, *cuts, len(text)))
            ]

        def _runs(self, text: str) -> list[_Run]:
            """Return the runs of `text`."""
            if self._size > _REMEMBERED:
                self._known.clear()
                self._size = 0
            runs = text.replace(_BREAKS_SPACY, _BREAKS_SPACY.lower()).split()
            if new := list(set(runs).difference(self._known)):
                self._known.update(zip(new, _cut(spacy.tokenizer, new), strict=True))
                self._size += sum(map(len, new))
            return list(map(self._known.__getitem__, runs))

    return Remembering()


def _cut(language: Any, runs: list[str]) -> list[_Run]:
    """Return the words of each run."""
    enders = language.get_pipe("sentencizer").punct_chars
    cut: list[list[tuple[str, str]]] = [[]]
    with language.memory_zone():
        for token in language.tokenizer(_BETWEEN.join(runs)):
            if token.text == _BETWEEN:
                cut.append([])
            else:
                kind = "e" if token.text in enders else "p" if token.is_punct else "w"
                cut[-1].append((token.text, kind))
    return [_run(pairs) for pairs in cut]


def _run(pairs: list[tuple[str, str]]) -> _Run:
    words = [word for word, _ in pairs]
    lengths = [len(word) for word in words]
    lengths[-1] += 1
    return _Run(words, "".join(kind for _, kind in pairs), lengths)
