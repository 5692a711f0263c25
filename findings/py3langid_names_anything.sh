#!/usr/bin/env bash
# One would guess: a language identifier calls "hello world" English, and code or a stub nothing.
# What happens: it names a language for nearly any text. "hello world" is Fula (fuv), "The cat sat" is
#   Romanian, and of three lines of Python one is Pidgin, one Icelandic, one English. classify() gives a
#   log-probability, which falls with the length: clear English of 80 characters scores far below them,
#   so no threshold on it tells a sure answer from a guess. (LanguageIdentifier with norm_probs=True does.)
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
stubs = ("hello world", "The cat sat")
code = ("for i in range(10):", "def f(x): return x + 1", "x = [row[0] for row in rows]")
answers, scores = {}, {}
for text in (*stubs, *code, long_english):
    language, score = py3langid.classify(text)
    answers[text], scores[text] = language, score
    print(f"{language:4} {score:12.4g}  {text}")
as_described = (
    answers[long_english] == "en"
    and scores[long_english] < min(scores[text] for text in stubs + code)
    and all(answers[text] != "en" for text in stubs)
    and all(answers[text] not in ("zxx", "und", None) for text in code)
)
sys.exit(0 if as_described else "CHANGED: the languages are not as described above")
PY
