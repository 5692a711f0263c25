#!/usr/bin/env bash
# One would guess: get_memory_footprint() of a model falls when its weights go from bfloat16 to int8.
# What happens: it does not move by a byte. A torchao weight is a tensor that says it has bfloat16
#   elements, and the footprint is elements x bytes of one. The saved weights do shrink.
# Versions: torchao 0.18.0, transformers 5.23.0, torch 2.13.0, Python 3.11.
# Who is hurt: whoever reports or gates a size by the footprint: compression looks as if it did nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 torchao==0.18.0 numpy==2.4.6
export HF_HOME="$work/home" HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
"$work/venv/bin/python" - 2>"$work/log" <<'PY' || { code=$?; tail -n 5 "$work/log" >&2; exit "$code"; }
import io
import sys
from importlib.metadata import version

import torch
from torchao.quantization import Int8WeightOnlyConfig, quantize_
from transformers import LlamaConfig, LlamaForCausalLM

shape = {"vocab_size": 64, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 4}
heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
model = LlamaForCausalLM(LlamaConfig(**shape, **heads)).to(torch.bfloat16)


def sizes():
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return model.get_memory_footprint(), file.tell()


before, saved_before = sizes()
quantize_(model, Int8WeightOnlyConfig())
after, saved_after = sizes()
weight = model.model.layers[0].mlp.up_proj.weight
print("torchao", version("torchao"), "transformers", version("transformers"), torch.__version__)
print(f"footprint {before} -> {after} bytes, saved {saved_before} -> {saved_after} bytes")
print(f"the weight says {weight.dtype} and holds {weight.qdata.dtype}")
as_described = (
    before == after and saved_after < 0.7 * saved_before and weight.qdata.dtype == torch.int8
)
sys.exit(0 if as_described else "CHANGED: the footprint is not as described above")
PY
