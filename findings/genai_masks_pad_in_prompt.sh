#!/usr/bin/env bash
# One would guess: a prompt of one row, with nothing to pad, is read whole.
# What happens: ONNX Runtime GenAI makes the attention mask from the ids: an id that is the pad id gets 0
#   wherever it stands. Many tokenizers pad with the end-of-sequence token, so a prompt that ends in it (or a
#   chat of two turns) is read with a hole. With a pad id that is not in the prompt, the logits are right.
# Versions: onnxruntime-genai 0.18.0, onnxruntime 1.31.1, transformers 5.23.0, torch 2.13.0, Python 3.11.
# Who is hurt: whoever serves a model whose pad token is its end token: worse answers from the second turn.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.23.0 numpy==2.4.6 onnx==1.23.2 \
    onnx-ir==1.1.0 onnxruntime==1.31.1 onnxruntime-genai==0.18.0
export HF_HOME="$work/home" HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
cd "$work"
venv/bin/python - 2>log <<'PY' || { code=$?; tail -n 5 log >&2; exit "$code"; }
import json
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import onnxruntime_genai as genai
import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END, UNUSED = 1, 90
torch.manual_seed(1)
shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "vocab_size": 96}
heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "initializer_range": 0.2}
special = {"bos_token_id": 3, "eos_token_id": END, "pad_token_id": END}
model = LlamaForCausalLM(LlamaConfig(**shape, **heads, **special)).eval()
words = Tokenizer(models.WordLevel({f"token{n}": n for n in range(96)}, unk_token="token0"))
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=words, unk_token="token0", eos_token="token1", pad_token="token1"
)
model.save_pretrained("model")
tokenizer.save_pretrained("model")
builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", "model", "-o", "export"]
options = ["-c", "cache", "-p", "fp32", "-e", "cpu"]
subprocess.run(builder + options, check=True, stdout=sys.stderr)


def difference(ids, pad):
    """How far GenAI's logits after `ids` are from those of the model it was made from."""
    config = genai.Config("export")
    config.overlay(json.dumps({"model": {"pad_token_id": pad}}))
    built = genai.Model(config)
    parameters = genai.GeneratorParams(built)
    parameters.set_search_options(max_length=16)
    generator = genai.Generator(built, parameters)
    generator.append_tokens(np.array([ids], np.int32))
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0, -1].numpy()
    return float(abs(np.asarray(generator.get_logits()).reshape(-1) - expected).max())


print("onnxruntime-genai", version("onnxruntime-genai"))
off = {}
for name, ids in {"with": [3, 10, 11, END], "without": [3, 10, 11, 12]}.items():
    for pad in (END, UNUSED):
        off[name, pad] = difference(ids, pad)
        print(f"a prompt {name} the id {END}, pad id {pad}: off by {off[name, pad]:.6f}")
holed = off.pop(("with", END))
as_described = holed > 0.1 and max(off.values()) < 1e-3
sys.exit(0 if as_described else "CHANGED: the pad id is not masked as described above")
PY
