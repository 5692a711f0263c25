"""How well duplicates are found: copies of the input's own passages, disguised, and counted.

Beside the copies stand as many passages that are no copies, as many that quote one, and near
misses, of one template and saying different things: one of these that is left out is a false alarm.
A copy must be found if the settings say that it is one by a margin: so a fifth of the words
changed, or a copy of three words, is planted and never due.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from unicodedata import category

from components.core.artifacts.data import Planted
from components.core.files import write_json
from components.data.document import Document, write_documents
from components.data.duplicates.find import LeftOut, find_duplicates
from components.data.duplicates.minhash import Matching, identity
from components.data.duplicates.near_misses import FORM, near_misses
from components.data.duplicates.passages import distinct, ngrams_of, passages_of
from components.data.duplicates.tokens import is_code, is_negation
from components.data.pieces import cut

NUM_POOLS = 6
_QUOTED = 0.1  # share of a passage
_LATER, _EARLIER = "inside a later, longer text", "inside an earlier, longer text"
_MARGIN = 0.15  # three standard errors and more of a similarity that 128 places estimate
_MANY_SAMPLES = 3  # of so many times the n-grams that are needed, all but 1 in 1,000 have enough
_AROUND = 6  # words to each side of one that is changed

Disguise = Callable[[str, random.Random], str]


class PlantedDocument(NamedTuple):
    """A document that is planted."""

    document: Document
    form: str = ""
    """How it is a duplicate; empty if it is none."""
    of: str = ""
    """What it is a duplicate of."""
    is_due: bool = False
    """Whether it must be found."""


def measure(
    texts: Sequence[str], num_items: int, matching: Matching, folder: Path
) -> list[Planted]:
    """Plant up to `num_items` a form, made from `texts`, and return what is found of them.

    Works under `folder`. There is nothing to plant if there are fewer than NUM_POOLS passages.
    """
    items = plant(texts, num_items, matching)
    if not items:
        return []
    file = folder / "kept" / "00000.jsonl"
    write_documents(file, (item.document for item in items))
    pieces = cut([file], file.stat().st_size)
    found = find_duplicates(matching, pieces, folder / "index", folder / "scratch", None)
    return score(items, found.verdicts(0, len(items)))


def plant(texts: Sequence[str], num_items: int, matching: Matching) -> list[PlantedDocument]:
    """Return the items to plant, distinct ones and copies, in the order they are to be read in.

    Passages that are joined are of like length.
    """
    rng = random.Random(matching.seed)
    passages = [passage for text in texts for passage in passages_of(text)]
    rng.shuffle(passages)
    passages = distinct(passages, num_items * NUM_POOLS, matching.ngram_size)
    size = min(num_items, len(passages) // NUM_POOLS)
    if not size:
        return []
    pools = [sorted(passages[i * size : (i + 1) * size], key=len) for i in range(NUM_POOLS)]
    originals, others, later, earlier, *fillers = pools
    hosts = [_embed(text, filler) for text, filler in zip(earlier, fillers[0], strict=True)]
    quoting = [_quote(*pair, rng) for pair in zip(originals, others, strict=True)]
    items = [
        *_items("host", hosts),
        *_items("original", originals),
        *_items("quoting", quoting),
        *_inside("later", later, _LATER, "later host", matching),
        *_kept(near_misses(quoting, num_items, rng)),
    ]
    for form, disguise in _DISGUISES.items():
        items += _copies(form, originals, [disguise(text, rng) for text in originals], matching)
    items += _inside("earlier", earlier, _EARLIER, "host", matching)
    hosts = [_embed(text, filler) for text, filler in zip(later, fillers[1], strict=True)]
    return items + _items("later host", hosts)


def _kept(texts: Iterable[tuple[str, str]]) -> list[PlantedDocument]:
    return [
        PlantedDocument(document=Document(id=f"near miss/{n}", text=text), form=form)
        for n, (form, text) in enumerate(texts)
    ]


def score(items: Sequence[PlantedDocument], verdicts: dict[int, LeftOut]) -> list[Planted]:
    """Count, for each form, what was left out for what it is a copy of, and false alarms.

    Of near misses those are found that were kept; the others are false alarms of all forms.
    """
    planted, found, wrong = Counter[str](), Counter[str](), Counter[str]()
    due, due_found = Counter[str](), Counter[str]()
    for place, item in enumerate(items):
        planted[item.form] += 1
        is_kept = item.form.startswith(FORM)
        due[item.form] += item.is_due or is_kept
        if is_kept and place not in verdicts:
            found[item.form] += 1
            due_found[item.form] += 1
        elif place in verdicts:
            is_right = item.form != "" and verdicts[place][1] == item.of
            (found if is_right else wrong)[item.form] += 1
            due_found[item.form] += is_right and item.is_due
    taken = wrong[""] + sum(number for form, number in wrong.items() if form.startswith(FORM))
    return [
        Planted(
            form=form,
            planted=planted[form],
            found=found[form],
            false_alarms=wrong[form] + (0 if form.startswith(FORM) else taken),
            due=due[form],
            due_found=due_found[form],
        )
        for form in planted
        if form
    ]


def write_report(planted: Sequence[Planted], file: Path) -> None:
    """Write a row a form, with recall and precision, for people to read."""
    rows = [
        {**row.model_dump(), "recall": round(row.recall, 4), "precision": round(row.precision, 4)}
        for row in planted
    ]
    write_json(file, rows)


def require_found(planted: Sequence[Planted], min_recall: float, min_precision: float) -> None:
    """Raise ValueError if too few copies that are due were found, or too much else was taken.

    Forms of which no copy is due are told and not judged, and one mistake in a form is let pass:
    of few planted copies it says little.
    """
    judged = [row for row in planted if row.due and not row.form.startswith(FORM)]
    missed = [
        f"{row.form} {row.due_recall:.3f} ({row.due_found} of {row.due})"
        for row in judged
        if row.due_recall < min_recall and row.due - row.due_found > 1
    ]
    if missed:
        raise ValueError(
            f"Deduplication finds too few of the copies that were planted: {', '.join(missed)}, "
            f"where min_recall is {min_recall}. planted.json has every form. Compare more "
            "documents (raise num_bands, and num_permutations with it), or lower min_recall."
        )
    wrong = [
        f"{row.form} {row.precision:.3f} ({row.false_alarms} false alarms)"
        for row in judged
        if row.precision < min_precision and row.false_alarms > 1
    ]
    if wrong:
        raise ValueError(
            f"Deduplication takes too many documents that are no copies: {', '.join(wrong)}, where "
            f"min_precision is {min_precision}. planted.json has every form. Ask for more that is "
            "alike (raise threshold or ngram_size), or lower min_precision."
        )


def require_kept(planted: Sequence[Planted], min_kept: float) -> None:
    """Raise ValueError if too many near misses were left out; one mistake in a form is let pass."""
    lost = [
        f"{row.form.removeprefix(FORM)} {row.found} of {row.planted}"
        for row in planted
        if row.form.startswith(FORM) and row.recall < min_kept and row.planted - row.found > 1
    ]
    if lost:
        raise ValueError(
            f"Deduplication drops documents of one template that say different things: it kept "
            f"{', '.join(lost)}, where min_kept is {min_kept}. planted.json has every form. Ask "
            "for more that is alike (raise threshold), or lower min_kept."
        )


def change_words(text: str, share: float, rng: random.Random) -> str:
    """Replace a share of the words, at least one, by others of the text: an edit that is light.

    So it leaves alone what makes another text: numbers, names, negations, symbols and code. There
    are fewer changes if there are fewer words of other kinds.
    """
    words = text.split()
    plain = [place for place in range(len(words)) if _is_plain(words, place)]
    others = sorted({words[place] for place in plain}) * 2
    number = min(max(1, math.ceil(share * len(words))), len(plain))
    for place in rng.sample(plain, number if len(others) > 2 else 0):
        at = others.index(words[place])
        words[place] = others[at + rng.randint(1, len(others) // 2 - 1)]
    return " ".join(words)


def _is_plain(words: Sequence[str], place: int) -> bool:
    """Whether a word is one of many in a sentence."""
    word = words[place]
    before = " ".join(words[max(0, place - _AROUND) : place])
    after = " ".join(words[place + 1 :][:_AROUND])
    letters = all(letter.isalpha() or category(letter)[0] == "M" for letter in word)
    return (
        letters
        and word == word.lower()
        and not is_negation(word)
        and not is_code(before, after, 2 * _AROUND)
    )


def _rewrap(text: str, rng: random.Random) -> str:
    words, lines = text.split(), list[str]()
    while words:
        length = rng.randint(4, 14)
        lines.append(" ".join(words[:length]))
        words = words[length:]
    return "\n".join(lines)


def _recase(text: str, rng: random.Random) -> str:
    return rng.choice([str.upper, str.lower, str.title])(text)


def _changing(percent: int) -> Disguise:
    return lambda text, rng: change_words(text, percent / 100, rng)


_DISGUISES: dict[str, Disguise] = {
    "re-wrapped": _rewrap,
    "re-cased": _recase,
    **{f"{percent}% of words changed": _changing(percent) for percent in (1, 5, 10, 20)},
}


def _quote(original: str, other: str, rng: random.Random) -> str:
    """Return `other` with a run of words of `original` put into it."""
    words, quoted = other.split(), original.split()
    length = math.ceil(_QUOTED * len(quoted))
    start, place = rng.randint(0, len(quoted) - length), rng.randint(0, len(words))
    return " ".join(words[:place] + quoted[start : start + length] + words[place:])


def _embed(text: str, filler: str) -> str:
    words = filler.split()
    half = len(words) // 2
    return "\n\n".join([" ".join(words[:half]), text, " ".join(words[half:])])


def _items(name: str, texts: Sequence[str]) -> list[PlantedDocument]:
    return [PlantedDocument(Document(id=f"{name}/{n}", text=t)) for n, t in enumerate(texts)]


def _copies(
    form: str, originals: Sequence[str], copies: Sequence[str], matching: Matching
) -> list[PlantedDocument]:
    return [
        PlantedDocument(
            document=Document(id=f"{form}/{number}", text=copy),
            form=form,
            of=f"original/{number}",
            is_due=is_alike(text, copy, matching),
        )
        for number, (text, copy) in enumerate(zip(originals, copies, strict=True))
    ]


def _inside(
    name: str, texts: Sequence[str], form: str, host: str, matching: Matching
) -> list[PlantedDocument]:
    enough = _MANY_SAMPLES * matching.min_samples * matching.sample_one_in
    return [
        PlantedDocument(
            document=Document(id=f"{name}/{number}", text=text),
            form=form,
            of=f"{host}/{number}",
            is_due=len(ngrams_of(text, matching.passage_ngram_size)) >= enough,
        )
        for number, text in enumerate(texts)
    ]


def is_alike(text: str, copy: str, matching: Matching) -> bool:
    """Whether the settings take a copy for one with a margin, counted n-gram by n-gram."""
    if identity(text) == identity(copy):
        return True
    one, other = ngrams_of(text, matching.ngram_size), ngrams_of(copy, matching.ngram_size)
    similarity = len(one & other) / max(1, len(one | other))
    return similarity >= min(1.0, matching.threshold + _MARGIN)
