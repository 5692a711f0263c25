"""Any amount of text with known duplicates and leaks, from what the project builds of its packages.

A document is made of runs of a few words, drawn from all documents: in sentences drawn whole, each
would be there hundreds of times in a gigabyte, as in no real text. A tenth of the documents are
copies of one of the last thousand: as many of each form. Some hold an item of an evaluation set.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from components.core.artifacts.data import Documents, EvaluationSets
from components.data.duplicates.planted import change_words
from components.data.repository import library, speeches

_RUNS = 8, 300  # of about 5 words: documents of 200 bytes to 9 kB, most of them short
_COPIES = 0.1
_REMEMBERED = 1000
_ITEMS = 500  # of the evaluation set
_ITEM_RUNS = 12
_LEAKS = 0.001
FORMS = ("same", "re-wrapped", "1 %", "5 %")
COPY, LEAK = "generated/copy/", "generated/leak/"  # what ids begin with: source and kind


def write(folder: Path, num_bytes: int, seed: int = 7) -> Documents:
    """Write about `num_bytes` of text, beside the set that `evaluation_beside` returns.

    An id begins with `COPY` if the document is a copy, with `LEAK` if it has an evaluation item.
    """
    rng = random.Random(seed)
    runs = _runs(rng)
    items = [" ".join(rng.choices(runs, k=_ITEM_RUNS)) for _ in range(_ITEMS)]
    rows = ((f"quiz/{number}", item) for number, item in enumerate(items))
    _write(folder / "evaluation" / "quiz" / "documents.jsonl", rows, num_bytes)
    file = folder / "generated" / "documents.jsonl"
    _write(file, _texts(rng, runs, items), num_bytes)
    return Documents(path=folder, revision="generated", sources=("generated",))


def evaluation_beside(documents: Documents) -> EvaluationSets:
    """Return the evaluation set that was written with the documents."""
    folder = documents.path / "evaluation"
    return EvaluationSets(path=folder, revision="generated", names=("quiz",))


def _write(file: Path, rows: Iterator[tuple[str, str]], num_bytes: int) -> None:
    file.parent.mkdir(parents=True)
    written = 0
    with file.open("w", encoding="utf-8") as lines:
        for name, text in rows:
            lines.write(json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n")
            written += len(text)
            if written >= num_bytes:
                break


def _texts(rng: random.Random, runs: list[str], items: list[str]) -> Iterator[tuple[str, str]]:
    recent: list[tuple[str, str]] = []
    number = 0
    while True:
        number += 1
        if recent and rng.random() < _COPIES:
            name, text = rng.choice(recent)
            form = rng.choice(FORMS)
            yield f"{COPY}{form}/{number}/{name}", _copied(text, form, rng)
            continue
        size = int(_RUNS[0] * (_RUNS[1] / _RUNS[0]) ** rng.random())
        words = rng.choices(runs, k=size)
        if rng.random() < _LEAKS:
            yield f"{LEAK}{number}", " ".join([*words, rng.choice(items), *words[: size // 2]])
            continue
        text = " ".join(words)
        if len(recent) < _REMEMBERED:
            recent.append((str(number), text))
        else:
            recent[number % _REMEMBERED] = str(number), text
        yield f"generated/{number}", text


def _copied(text: str, form: str, rng: random.Random) -> str:
    if form == "re-wrapped":
        words = text.split()
        return "\n".join(" ".join(words[i : i + 9]) for i in range(0, len(words), 9))
    return text if form == "same" else change_words(text, int(form.split()[0]) / 100, rng)


def _runs(rng: random.Random) -> list[str]:
    """Return all documents cut into runs of 3 to 7 words."""
    runs: list[str] = []
    for source in (speeches, library):
        for document in source.documents():
            words, start = document.text.split(), 0
            while start < len(words):
                end = start + rng.randint(3, 7)
                runs.append(" ".join(words[start:end]))
                start = end
    return runs
