"""How well duplicates among rows are found: altered copies of some, and rows that only look alike.

A copy must be found if the settings say that it is one by a margin. A near miss has the template of
other rows, or is one of the set, with another content, number, operator or name: it must be kept.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple

from components.core.artifacts.data import Planted
from components.data.document import Document
from components.data.duplicates.minhash import Matching
from components.data.duplicates.near_misses import FORM, near_misses
from components.data.duplicates.passages import ngrams_of
from components.data.duplicates.planted import PlantedDocument, is_alike, score
from components.data.duplicates.tokens import may_be_code
from components.data.preparation.sieve import RowSieve
from components.data.preparation.texts import R, normalised, said_in, with_contents
from components.lib.text.dialogue import Comparison, Dialogue, Message

_POOLS = 6  # rows that are taken for one that is planted in a form: two thirds of them are copied
_ENOUGH = 5  # runs of words, of which fewer are no likeness to go by
_STOP = re.compile(r"(?<=[^\W\d_])[.,;:!](?=\s|$)")
_ASKED = "Show me something of this kind."


class PlantedRow(NamedTuple, Generic[R]):
    """A row that is planted, or one of the set that stands beside those."""

    row: R
    """Under an id of its own."""
    form: str = ""
    """How it is a copy, or that it must be kept; empty for a row of the set."""
    of: str = ""
    """The id of the row that it is a copy of."""
    is_due: bool = False
    """Whether it must be found."""


def measure(
    rows: Sequence[R], num_items: int, matching: Matching | None, scratch: Path
) -> tuple[Planted, ...]:
    """Plant up to `num_items` a form in a sample of `rows`; return what is found of them.

    The sample has up to six times as many rows, none a duplicate. Without `matching` exact copies
    alone are looked for. There is nothing to plant where there are fewer than four rows.
    """
    items = plant(rows, num_items, matching)
    if not items:
        return ()
    sieve = RowSieve(item.row for item in items)
    sieve.drop_exact_duplicates()
    if matching is not None:
        scratch.mkdir(exist_ok=True)
        sieve.drop_near_duplicates(matching, scratch)
    verdicts = _verdicts(items, sieve.duplicates())
    return tuple(score([_as_document(item) for item in items], verdicts))


def _verdicts(
    items: Sequence[PlantedRow[R]], found: dict[str, tuple[str, str]]
) -> dict[int, tuple[str, str]]:
    """Return what was left out, by place: a copy that holds its row may stay in place of it."""
    told = dict(found)
    for item in items:
        if item.of in told and told[item.of][1] == item.row.id:
            told[item.row.id] = told.pop(item.of)[0], item.of
    return {n: told[item.row.id] for n, item in enumerate(items) if item.row.id in told}


def plant(rows: Sequence[R], num_items: int, matching: Matching | None) -> list[PlantedRow[R]]:
    """Return rows of the set, and after them their copies and near misses."""
    rng = random.Random((matching or Matching()).seed)
    size = min(num_items, len(rows) // len(_DISGUISES))
    if not size:
        return []
    places = rng.sample(range(len(rows)), min(len(rows), size * _POOLS))
    chosen = [rows[place] for place in places]
    items = [PlantedRow(row) for row in chosen]
    for number, (form, disguise) in enumerate(_DISGUISES.items()):
        for n, row in enumerate(chosen[number * size : (number + 1) * size]):
            copy = disguise(row, rng).model_copy(update={"id": f"copy/{form}/{n}"})
            items.append(PlantedRow(copy, form, row.id, _is_due(row, copy, matching)))
    known = {normalised(row) for row in rows}
    for n, (form, row) in enumerate(_kept(chosen, size, rng)):
        if normalised(row) not in known:  # another row may say just that
            known.add(normalised(row))
            items.append(PlantedRow(row.model_copy(update={"id": f"near miss/{n}"}), form))
    return items


def require(
    planted: Sequence[Planted], min_recall: float, min_precision: float, min_kept: float
) -> None:
    """Raise ValueError where too few copies were found, or too much else was taken for one.

    One mistake in a form is let pass: of few planted rows it says little.
    """
    wrong = [each for row in planted for each in _wrong(row, min_recall, min_precision, min_kept)]
    if wrong:
        raise ValueError(
            f"Of the duplicates that were planted among these rows: {'; '.join(wrong)}. What is "
            "left out as a duplicate cannot be trusted here. Look at the rows, and lower that "
            "bound, or leave out exact copies alone with near_duplicates=false."
        )


def _wrong(row: Planted, min_recall: float, min_precision: float, min_kept: float) -> Iterator[str]:
    if row.form.startswith(FORM):
        if row.recall < min_kept and row.planted - row.found > 1:
            kind = row.form.removeprefix(FORM)
            yield f"{kind}: {row.found} of {row.planted} were kept, where min_kept is {min_kept}"
    elif row.due:
        if row.due_recall < min_recall and row.due - row.due_found > 1:
            yield f"{row.form}: {row.due_found} of {row.due} found, min_recall is {min_recall}"
        if row.precision < min_precision and row.false_alarms > 1:
            yield f"{row.form}: {row.false_alarms} others taken, min_precision is {min_precision}"


def _recased(row: R, rng: random.Random) -> R:
    return with_contents(row, rng.choice([str.upper, str.lower, str.title]))


def _respaced(row: R, rng: random.Random) -> R:
    return with_contents(row, lambda text: re.sub(r"\s+", lambda _: rng.choice(["  ", "\n"]), text))


def _repunctuated(row: R, rng: random.Random) -> R:
    return with_contents(row, lambda text: _STOP.sub(lambda _: rng.choice(["", "!"]), text))


def _said_twice(row: R, _: random.Random) -> R:
    """Return a dialogue that ends with its last turns again, a comparison with its last answer."""
    if isinstance(row, Dialogue):
        return row.model_copy(update={"messages": (*row.messages, *row.messages[-2:])})
    return row.model_copy(update={"rejected": f"{row.rejected}\n{row.rejected}"})


_DISGUISES: dict[str, Callable[..., Any]] = {
    "other case": _recased,
    "other white space": _respaced,
    "other punctuation": _repunctuated,
    "a turn said twice": _said_twice,
}


def _is_due(row: R, copy: R, matching: Matching | None) -> bool:
    if normalised(row) == normalised(copy):
        return True
    one, other = said_in(row), said_in(copy)
    if matching is None or may_be_code(one) or len(ngrams_of(one, matching.ngram_size)) < _ENOUGH:
        return False
    return is_alike(one, other, matching)


def _kept(rows: Sequence[R], size: int, rng: random.Random) -> Iterator[tuple[str, R]]:
    """Yield rows of one template that say different things, and rows with one thing changed."""
    for form, text in near_misses((), size, rng):
        yield form, _saying(rows[0], text)
    for row in rows[:size]:
        found = dict[str, R]()
        for text in (each.content for each in _messages(row) if each.content.strip()):
            for form, changed in near_misses([text], 0, rng):
                found.setdefault(form, with_contents(row, _putting(changed, text)))
        yield from found.items()


def _putting(new: str, old: str) -> Callable[[str], str]:
    return lambda text: new if text == old else text


def _messages(row: Dialogue | Comparison) -> Sequence[Message]:
    return row.messages if isinstance(row, Dialogue) else row.dialogues()[0].messages


def _saying(like: R, text: str) -> R:
    """Return a row of the kind of `like` whose answer is a text."""
    asked = Message(role="user", content=_ASKED)
    if isinstance(like, Dialogue):
        answer = Message(role="assistant", content=text)
        return like.model_copy(update={"messages": (asked, answer), "tools": ()})
    answers = {"chosen": text, "rejected": "I cannot."}
    return like.model_copy(update={"prompt": (asked,), "tools": (), **answers})


def _as_document(item: PlantedRow[R]) -> PlantedDocument:
    document = Document(id=item.row.id, text=said_in(item.row))
    return PlantedDocument(document, item.form, item.of, item.is_due)
