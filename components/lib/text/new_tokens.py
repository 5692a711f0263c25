"""What a vocabulary was extended by: each new token, and the tokens that it stands in place of."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_FILE = "new_tokens.jsonl"


class NewToken(NamedTuple):
    """A token that a vocabulary did not have."""

    id: int
    token: str
    """As the tokenizer spells it."""
    parts: tuple[int, ...]
    """Ids of the old tokens that its text had."""


def write_new_tokens(folder: Path, tokens: Iterable[NewToken]) -> None:
    """Write them beside the tokenizer, a line each."""
    lines = (f"{json.dumps(token._asdict())}\n" for token in tokens)
    (folder / _FILE).write_text("".join(lines), encoding="utf-8")


def read_new_tokens(folder: Path) -> Iterator[NewToken]:
    """Yield the tokens that the vocabulary in `folder` was extended by; none if it was not."""
    file = folder / _FILE
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    for line in lines:
        row = json.loads(line)
        yield NewToken(row["id"], row["token"], tuple(row["parts"]))
