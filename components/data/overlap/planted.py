"""Known items in disguise: how well the search for overlaps finds what is there.

Items that are known to be evaluated are written out in several forms and looked for like any
document; so are documents that share no words in a row with any item, in the same forms.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from components.core.artifacts.data import Planted
from components.data.overlap.index import MIN_LETTERS, EvaluationItem, Overlap
from components.data.overlap.items import Search
from components.data.overlap.letters import letters

PARAPHRASED = "paraphrased"  # the form whose recall is told and not asked for

MAX_CHARACTERS = 2000  # of a document that carries an item, or is searched for none
_WRAPPED_WORDS = 8
_CHANGED = 0.18  # share of the words that a paraphrase changes
_MARKS = ("", ",", ";", " -", "...", "!", '"', "\u201d", ")")
_SENTENCE = re.compile(r"[^.!?]+[.!?]+")
_SEED = 20_200_528  # the day of Brown et al. 2020


def _verbatim(text: str, random: Random) -> str:
    return text


def _rewrapped(text: str, random: Random) -> str:
    """Put 8 words on a line, and cut the last word of some with a hyphen."""
    lines, words = list[str](), text.split()
    for start in range(0, len(words), _WRAPPED_WORDS):
        *front, last = words[start : start + _WRAPPED_WORDS]
        if last.isalpha() and len(last) > 5 and random.random() < 0.5:
            last = f"{last[: len(last) // 2]}-\n{last[len(last) // 2 :]}"
        lines.append(" ".join([*front, last]))
    return "\n".join(lines)


def _recased(text: str, random: Random) -> str:
    return random.choice((str.upper, str.lower, str.title, str.swapcase))(text)


def _repunctuated(text: str, random: Random) -> str:
    """Replace the marks between words by others."""
    spaced = (" " if unicodedata.category(mark)[0] == "P" else mark for mark in text)
    return " ".join(word + random.choice(_MARKS) for word in "".join(spaced).split())


def _paraphrased(text: str, random: Random) -> str:
    """Drop, double, replace or move about every sixth word."""
    words = list[str]()
    for word in text.split():
        if random.random() < _CHANGED:
            words += random.choice(([], [word, word], ["some"], [word, *words[-1:]]))
        else:
            words.append(word)
    return " ".join(words)


FORMS: dict[str, Callable[[str, Random], str]] = {
    "verbatim": _verbatim,
    "re-wrapped": _rewrapped,
    "re-cased": _recased,
    "re-punctuated": _repunctuated,
    PARAPHRASED: _paraphrased,
}
EMBEDDED = "embedded"


class FoundPlanted(NamedTuple):
    """What was found of what was planted."""

    rows: tuple[Planted, ...]
    """Recall and precision in each form."""
    report: dict[str, Any]
    """The same for people, with what was missed."""

    def write(self, out: Path) -> None:
        """Write `planted.json`."""
        text = json.dumps(self.report, indent=2, ensure_ascii=False)
        (out / "planted.json").write_text(f"{text}\n", encoding="utf-8")


def measure(
    search: Search,
    index: Overlap,
    items: Iterable[EvaluationItem],
    documents: Sequence[str],
    as_read: Callable[[str], str] = str,
) -> FoundPlanted:
    """Plant some of the indexed `items`, and if they are few, sentences of `documents`.

    `as_read` is what becomes of a text before it is searched.
    """
    random = Random(_SEED)
    distinct = np.unique(index.items).tolist()
    chosen = set(random.sample(distinct, min(search.num_planted, len(distinct))))
    clean = _Clean([text[:MAX_CHARACTERS] for text in documents[1::2]], search.ngram_words)
    planted = list[EvaluationItem]()
    for number, item in enumerate(items):
        clean.strike(item.text)
        if number in chosen:
            planted.append(item)
    made = _sentences(documents[::2], search, search.num_planted - len(planted))
    for item in made:
        clean.strike(item.text)
    of_sentences = (item._replace(text=as_read(item.text)) for item in made)
    indexes = [index, Overlap.build(of_sentences, search.ngram_words)]

    def is_found(text: str) -> bool:
        found = letters(as_read(text))
        return any(known.hits(found) for known in indexes)

    forms = [_tried(form, [*planted, *made], clean.texts(), is_found, random) for form in _names()]
    told = [form for form in forms if form["planted"]]
    columns = ("form", "planted", "found", "false_alarms")
    rows = tuple(_due(Planted(**{name: form[name] for name in columns})) for form in told)
    sizes = {"evaluation_items": len(planted), "sentences_of_documents": len(made)}
    short = index.listing.too_short
    report = {"planted": sizes, "too_short_to_be_looked_for": short, "forms": told}
    return FoundPlanted(rows, report)


def _due(row: Planted) -> Planted:
    """Return a row whose items must all be found, unless they are paraphrased."""
    if row.form == PARAPHRASED:
        return row
    return row.model_copy(update={"due": row.planted, "due_found": row.found})


def require_recall(search: Search, rows: Iterable[Planted]) -> None:
    """Raise ValueError if items in a form that must be found were not."""
    low = [
        f"{row.form} {row.recall:.3f} ({row.found} of {row.planted})"
        for row in rows
        if row.due_recall < search.min_recall
    ]
    if low:
        raise ValueError(
            f"The search for evaluation items has too low a recall: {', '.join(low)}, where "
            f"min_recall is {search.min_recall}. planted.json lists what was missed. Look for "
            f"fewer ngram_words than {search.ngram_words}, or ignore less (common_in)."
        )


def _names() -> list[str]:
    *alike, paraphrased = FORMS
    return [*alike, EMBEDDED, paraphrased]


def _tried(
    form: str,
    items: Sequence[EvaluationItem],
    clean: Sequence[str],
    is_found: Callable[[str], bool],
    random: Random,
) -> dict[str, Any]:
    """Return how many items are found in a form, and how many clean documents."""
    if form == EMBEDDED and not clean:
        items = []

    def disguised(text: str) -> str:
        if form == EMBEDDED:
            return _embedded(text, random.choice(clean), random)
        return FORMS[form](text, random)

    texts = [disguised(item.text) for item in items]
    missed = [item.name for item, text in zip(items, texts, strict=True) if not is_found(text)]
    alarms = [text for text in map(disguised, clean) if is_found(text)] if items else []
    return {
        "form": form,
        "planted": len(items),
        "found": len(items) - len(missed),
        "recall": 1 - len(missed) / max(1, len(items)),
        "missed": missed,
        "clean_documents": len(clean),
        "false_alarms": len(alarms),
        "falsely_flagged": alarms,
        "example": texts[0] if texts else "",
    }


def _embedded(text: str, carrier: str, random: Random) -> str:
    place = carrier.find(" ", random.randrange(len(carrier)))
    place = place if place >= 0 else len(carrier)
    return f"{carrier[:place]} {text} {carrier[place:]}"


def _sentences(documents: Sequence[str], search: Search, number: int) -> list[EvaluationItem]:
    """Return sentences that are long enough to be looked for, of each document as many."""
    found = dict[str, EvaluationItem]()
    of_each = -(-number // max(1, len(documents)))
    for place, text in enumerate(documents):
        sentences = (" ".join(match[0].split()) for match in _SENTENCE.finditer(text))
        long = (s for s in sentences if len(s.split()) >= search.ngram_words)
        for sentence in islice((s for s in long if len(letters(s)) >= MIN_LETTERS), of_each):
            found.setdefault(
                sentence, EvaluationItem("sentences", f"{place}/{len(found)}", sentence)
            )
    return list(found.values())[:number]


class _Clean:
    """Documents that share no words with what is struck; compared plainly, as they stand."""

    def __init__(self, texts: Sequence[str], ngram_words: int) -> None:
        self._texts, self._ngram_words = texts, ngram_words
        self._words = [_plain(text) for text in texts]
        self._documents: dict[int, dict[str, set[int]]] = {}
        self._struck = {place for place, words in enumerate(self._words) if not words}

    def strike(self, text: str) -> None:
        """Take out documents that share n words in a row, or all if there are fewer."""
        words = _plain(text)
        size = min(self._ngram_words, len(words))
        if size and len(text) >= MIN_LETTERS:
            known = self._by_ngram(size)
            for ngram in _in_a_row(words, size):
                self._struck |= known.get(ngram, set())

    def texts(self) -> list[str]:
        return [text for place, text in enumerate(self._texts) if place not in self._struck]

    def _by_ngram(self, size: int) -> dict[str, set[int]]:
        if size not in self._documents:
            self._documents[size] = known = {}
            for place, words in enumerate(self._words):
                for ngram in _in_a_row(words, size):
                    known.setdefault(ngram, set()).add(place)
        return self._documents[size]


def _plain(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _in_a_row(words: Sequence[str], size: int) -> Iterator[str]:
    return (" ".join(words[at : at + size]) for at in range(len(words) - size + 1))
