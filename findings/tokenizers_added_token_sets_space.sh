#!/usr/bin/env bash
# One would guess: a tokenizer that gives every text back still does so after a token was added.
# What happens: with the normalizer of Llama 2 and its heirs, which sets a mark of space before a
#   text, the stretch after every added token counts as a text of its own and gets that mark. The
#   text comes back with a space that it never had, and ids after the token differ. An added token
#   with `normalized=True` gets the mark itself, and is found at the start of a text alone.
# Versions: tokenizers 0.23.3, Python 3.11.
# Who is hurt: whoever extends the vocabulary of such a model, as with tags for thoughts or tools:
#   words right after a tag are read as beginnings of words. Merges that are learnt on top of the
#   tokenizer's own have no such effect.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q tokenizers==0.23.3
export PYTHONDONTWRITEBYTECODE=1
"$work/venv/bin/python" - <<'PY'
import sys

import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers


def llama_like():
    """Return a byte-fallback tokenizer with the normalizer and the decoder of Llama 2."""
    names = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    made = Tokenizer(
        models.BPE(
            vocab={name: number for number, name in enumerate(names)},
            merges=[],
            byte_fallback=True,
            unk_token="<unk>",
        )
    )
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    return made


def back(made, text):
    return made.decode(made.encode(text).ids, skip_special_tokens=False)


text = "<tag>otter</tag>, and more"
tags = ["<tag>", "</tag>"]
print("tokenizers", tokenizers.__version__)
print("before:", repr(back(llama_like(), text)))
comes_back, is_found = {}, {}
for normalized in (False, True):
    made = llama_like()
    made.add_tokens([AddedToken(tag, normalized=normalized) for tag in tags])
    ids = made.encode(text).ids
    comes_back[normalized] = back(made, text)
    is_found[normalized] = [made.token_to_id(tag) in ids for tag in tags]
    print(f"normalized={normalized}: {comes_back[normalized]!r}, tags found: {is_found[normalized]}")
holds = back(llama_like(), text) == text and comes_back[False] == "<tag> otter</tag> , and more"
sys.exit(not (holds and is_found == {False: [True, True], True: [True, False]}))
PY
