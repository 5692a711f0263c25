"""Tokens as bytes: those of a text make the text."""

import importlib.util
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from components.lib.text.token_bytes import TokenBytes

_spec = importlib.util.spec_from_file_location(
    "foreign", Path(__file__).parents[2] / "pretrain" / "foreign.py"
)
assert _spec is not None and _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)

TEXT = "The sea, a naïve 海 \n\tand £5 ~ \x00 é\u0301"


@pytest.mark.parametrize("kind", ["platform", "smol", "gemma"])
def test_the_bytes_of_a_texts_tokens_are_the_text(kind, vocabulary, tmp_path):
    folder = vocabulary.path
    if kind != "platform":
        folder = getattr(foreign, kind)(tmp_path)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    found = TokenBytes.of(folder)
    ids = tokenizer.encode(TEXT, add_special_tokens=False).ids
    text = b"".join(found.tokens[index] for index in ids)
    prefix = " " if kind == "gemma" else ""
    assert text.decode() == prefix + TEXT
    assert (found.begin is not None) == (kind == "gemma")
    assert found.tokens[found.end] == b""
    assert {len(token) for token in found.tokens} >= {0, 1}
