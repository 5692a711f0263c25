"""How well duplicates are found: copies of the input's own passages, disguised, and counted.

Beside the copies stand as many passages that are no copies, and as many that quote one: one of
these that is left out is a false alarm.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from components.core.artifacts.data import Planted
from components.core.files import write_json
from components.data.document import Document, write_documents
from components.data.duplicates.find import Verdict, find_duplicates
from components.data.duplicates.minhash import Matching
from components.data.pieces import cut

NUM_POOLS = 6
_PASSAGES_OF_ONE = 3  # a document gives up to so many
_WORDS = 500  # longest passage
_QUOTED = 0.1  # share of a passage
_LATER, _EARLIER = "inside a later, longer text", "inside an earlier, longer text"

Disguise = Callable[[str, random.Random], str]


class Item(NamedTuple):
    """A document that is planted."""

    document: Document
    form: str = ""
    """How it is a duplicate; empty if it is none."""
    of: str = ""
    """What it is a duplicate of."""


def measure(
    texts: Sequence[str], num_items: int, matching: Matching, folder: Path
) -> list[Planted]:
    """Plant up to `num_items` a form, made from `texts`, and return what is found of them.

    Works under `folder`. There is nothing to plant if there are fewer than NUM_POOLS passages.
    """
    items = plant(texts, num_items, matching.seed)
    if not items:
        return []
    file = folder / "kept" / "00000.jsonl"
    write_documents(file, (item.document for item in items))
    pieces = cut([file], file.stat().st_size)
    found = find_duplicates(matching, pieces, folder / "index", folder / "scratch", None)
    return score(items, found.verdicts(0, len(items)))


def plant(texts: Sequence[str], num_items: int, seed: int) -> list[Item]:
    """Return the items to plant, distinct ones and copies, in the order they are to be read in.

    Passages that are joined are of like length.
    """
    rng = random.Random(seed)
    passages = [passage for text in texts for passage in _passages(text)]
    rng.shuffle(passages)
    size = min(num_items, len(passages) // NUM_POOLS)
    pools = [sorted(passages[i * size : (i + 1) * size], key=len) for i in range(NUM_POOLS)]
    originals, others, later, earlier, *fillers = pools
    hosts = [_embed(text, filler) for text, filler in zip(earlier, fillers[0], strict=True)]
    items = [
        *_items("host", hosts),
        *_items("original", originals),
        *_items("quoting", [_quote(*pair, rng) for pair in zip(originals, others, strict=True)]),
        *_items("later", later, _LATER, "later host"),
    ]
    for form, disguise in _DISGUISES.items():
        items += _items(form, [disguise(text, rng) for text in originals], form, "original")
    items += _items("earlier", earlier, _EARLIER, "host")
    hosts = [_embed(text, filler) for text, filler in zip(later, fillers[1], strict=True)]
    return items + _items("later host", hosts)


def score(items: Sequence[Item], verdicts: dict[int, Verdict]) -> list[Planted]:
    """Count, for each form, what was left out for what it is a copy of, and false alarms."""
    planted, found, wrong = Counter[str](), Counter[str](), Counter[str]()
    for place, item in enumerate(items):
        planted[item.form] += 1
        if place in verdicts:
            right = item.form and verdicts[place][1] == item.of
            (found if right else wrong)[item.form] += 1
    return [
        Planted(
            form=form,
            planted=planted[form],
            found=found[form],
            false_alarms=wrong[form] + wrong[""],
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


def change_words(text: str, share: float, rng: random.Random) -> str:
    """Replace a share of the words, at least one, by others of the text."""
    words = text.split()
    others = sorted(set(words)) * 2
    for place in rng.sample(range(len(words)), max(1, math.ceil(share * len(words)))):
        at = others.index(words[place])
        words[place] = others[at + rng.randint(1, len(others) // 2 - 1)] if at else "other"
    return " ".join(words)


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


def _passages(text: str) -> list[str]:
    """Return the first passages of a text, as they stand in it."""
    spans = [word.span() for word in re.finditer(r"\S+", text)]
    runs = [spans[i : i + _WORDS] for i in range(0, len(spans), _WORDS)][:_PASSAGES_OF_ONE]
    full = runs[:1] + [run for run in runs[1:] if len(run) == _WORDS]
    return [text[run[0][0] : run[-1][1]] for run in full]


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


def _items(name: str, texts: Sequence[str], form: str = "", of: str = "") -> list[Item]:
    return [
        Item(Document(id=f"{name}/{n}", text=text), form, f"{of}/{n}")
        for n, text in enumerate(texts)
    ]
