#!/usr/bin/env bash
# One would guess: a language identifier calls "hello world" English, and code or "OK" nothing.
# What happens: it gives a language for any text, and no "unknown". "hello world" is Fula (fuv), 18
#   characters of Python are Nigerian Pidgin, "The cat sat" is Romanian. The score is a log-probability
#   that grows with the length, so no threshold on it tells a sure answer from a guess.
# Versions: py3langid 0.4.0, Python 3.11.
# Who is hurt: whoever keeps documents by language: short English is thrown out, code gets in.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q py3langid==0.4.0 numpy==2.4.6
export PYTHONDONTWRITEBYTECODE=1
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import py3langid

print("py3langid", version("py3langid"))
long_english = "The weather was fine this morning, so we walked along the river to the old mill."
answers = {}
for text in ("hello world", "Hello world!", "The cat sat", "OK", "for i in range(10):", long_english):
    language, score = py3langid.classify(text)
    answers[text] = language
    print(f"{language:4} {score:12.4g}  {text}")
as_described = (
    answers[long_english] == "en"
    and answers["hello world"] != "en"
    and answers["The cat sat"] != "en"
    and answers["for i in range(10):"] not in ("zxx", "und", None)
)
sys.exit(0 if as_described else "CHANGED: the languages are not as described above")
PY
