#!/usr/bin/env bash
# One would guess: float64 is the safe type to check a model in, and padding on the left changes nothing.
# What happens: with eager attention every logit of a padded row is NaN, those of its last token too. The mask is
#   the least float64 and the softmax is computed in float32, where that is minus infinity: a row of the padding,
#   which sees nothing, becomes NaN, and from the second layer on its NaN times a weight of 0 is in every other
#   row. In float32 the same attention is right, and so is sdpa in float64.
# Versions: transformers 5.23.0, torch 2.13.0, Python 3.11.
# Who is hurt: whoever holds gradients or exports against a reference in float64, with prompts of several lengths.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 numpy==2.4.6
export HF_HOME="$work/home" HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
"$work/venv/bin/python" - 2>"$work/log" <<'PY' || { code=$?; tail -n 5 "$work/log" >&2; exit "$code"; }
import sys

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

shape = {"vocab_size": 32, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=2)).eval()
padded = {
    "input_ids": torch.tensor([[0, 0, 0, 9]]),
    "attention_mask": torch.tensor([[0, 0, 0, 1]]),
}
print("transformers", transformers.__version__, "torch", torch.__version__)
nans = {}
for dtype in (torch.float32, torch.float64):
    for attention in ("eager", "sdpa"):
        model.to(dtype).set_attn_implementation(attention)
        with torch.no_grad():
            last = model(**padded).logits[0, -1]
        nans[dtype, attention] = int(last.isnan().sum())
        print(f"{dtype}, {attention}: {nans[dtype, attention]} of 32 logits of the real token are NaN")
broken = nans.pop((torch.float64, "eager"))
sys.exit(0 if broken == 32 and not any(nans.values()) else "CHANGED: not as described above")
PY
