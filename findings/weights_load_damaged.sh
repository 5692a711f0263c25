#!/usr/bin/env bash
# One would guess: a damaged checkpoint does not load.
# What happens: safetensors has no checksum: a flipped bit in a weight loads without a word, here 1.0 as
#   infinity. A file that lacks a whole layer loads through from_pretrained: the layer is made up at
#   random, other numbers at each load, and only a report in the log says MISSING.
# Versions: safetensors 0.8.0, transformers 5.23.0, torch 2.13.0, Python 3.11.
# Who is hurt: whoever takes "it loaded" as proof that a downloaded or copied model is the one that was saved.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
export HF_HOME="$work/home" HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
cd "$work"
venv/bin/python - 2>log <<'PY' || { code=$?; tail -n 5 log >&2; exit "$code"; }
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

save_file({"weight": torch.ones(4)}, "flipped.safetensors")
content = bytearray(Path("flipped.safetensors").read_bytes())
content[-1] ^= 0x40  # the top bit of the last float's exponent
Path("flipped.safetensors").write_bytes(content)
flipped = load_file("flipped.safetensors")["weight"]

shape = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3}
heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
saved = LlamaForCausalLM(LlamaConfig(**shape, **heads))
saved.save_pretrained("model")
weights = load_file("model/model.safetensors")
kept = {name: tensor for name, tensor in weights.items() if ".layers.1." not in name}
save_file(kept, "model/model.safetensors", metadata={"format": "pt"})


def layer(number):
    loaded = LlamaForCausalLM.from_pretrained("model")
    return loaded.model.layers[number].mlp.up_proj.weight.detach()


once, again = layer(1), layer(1)
print("safetensors", version("safetensors"), "transformers", version("transformers"))
print("the flipped bit loads as", flipped.tolist())
print(f"{len(weights) - len(kept)} of {len(weights)} tensors left out; the model loads all the same")
print("the layer that is missing, loaded twice:", once[0, :3].tolist(), again[0, :3].tolist())
as_described = (
    torch.isinf(flipped[-1]).item()
    and torch.equal(layer(0), saved.model.layers[0].mlp.up_proj.weight)
    and not torch.equal(once, saved.model.layers[1].mlp.up_proj.weight)
    and not torch.equal(once, again)
)
sys.exit(0 if as_described else "CHANGED: damage is not loaded as described above")
PY
echo "the only word of it, in the log: $(grep -m 1 'MISSING |' log | tr -s ' ')"
