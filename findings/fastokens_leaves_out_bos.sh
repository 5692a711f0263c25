#!/usr/bin/env bash
# One would guess: encode() of a drop-in faster tokenizer gives the ids that tokenizers gives for the
#   same tokenizer.json.
# What happens: add_special_tokens is False by default in fastokens and True in tokenizers. The
#   beginning-of-sequence token is left out, and nothing says so. Given True, the ids are the same.
# Versions: fastokens 0.3.5, tokenizers 0.23.3, Python 3.11.
# Who is hurt: whoever swaps the encoder of a data set or a server: the model reads text without its start.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q fastokens==0.3.5 tokenizers==0.23.3
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1
cd "$work"
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import fastokens
import tokenizers
from tokenizers import models, pre_tokenizers, processors, trainers

reference = tokenizers.Tokenizer(models.BPE())
reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
trainer = trainers.BpeTrainer(
    vocab_size=300,
    special_tokens=["<s>"],
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
)
reference.train_from_iterator(["iron is won from ore in a bloomery"] * 4, trainer)
bos = reference.token_to_id("<s>")
reference.post_processor = processors.TemplateProcessing(
    single="<s> $A", special_tokens=[("<s>", bos)]
)
reference.save("tokenizer.json")
faster = fastokens.Tokenizer.from_file("tokenizer.json")


def ids(encoded):
    return list(getattr(encoded, "ids", encoded))


text = "iron ore"
expected = ids(reference.encode(text))
by_default = ids(faster.encode(text))
when_asked = ids(faster.encode(text, add_special_tokens=True))
print("fastokens", version("fastokens"), "tokenizers", version("tokenizers"))
print(f"tokenizers {expected}, fastokens {by_default}, with add_special_tokens {when_asked}")
as_described = expected[0] == bos and by_default == expected[1:] and when_asked == expected
sys.exit(0 if as_described else "CHANGED: the default ids are not as described above")
PY
