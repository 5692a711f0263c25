#!/usr/bin/env bash
# One would guess: merging a LoRA adapter into its model leaves the model's answers as they were.
# What happens: PEFT warns about an adapter on a tied output head and names the remedy,
#   ensure_weight_tying=True. With it, the adapter stands on the head and on the embedding, which are one
#   tensor, and merge_and_unload adds its delta to that tensor twice. The saved model gives other answers.
# Versions: peft 0.21.2, transformers 5.23.0, torch 2.13.0, Python 3.11.
# Who is hurt: whoever fine-tunes the head or the embedding of a small model (most small ones are tied)
#   and ships the merged folder: it is not the model that was evaluated.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2 numpy==2.4.6
export HF_HOME="$work/home" HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(1)
shape = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
base = LlamaForCausalLM(LlamaConfig(**shape, **heads, tie_word_embeddings=True)).eval()
weights_before = base.lm_head.weight.detach().clone()
config = LoraConfig(
    r=2, target_modules=["lm_head"], init_lora_weights=False, ensure_weight_tying=True
)
adapted = get_peft_model(base, config).eval()
delta = adapted.base_model.model.lm_head.get_delta_weight("default").detach()
ids = torch.arange(8)[None]
with torch.no_grad():
    answers = adapted(ids).logits
    merged = adapted.merge_and_unload().eval()
    change = float((merged(ids).logits - answers).abs().max())
moved = merged.lm_head.weight.detach() - weights_before
times = float((moved * delta).sum() / delta.square().sum())

print("peft", version("peft"), "transformers", version("transformers"), "torch", torch.__version__)
print(f"the merge moved the head by {times:.3f} deltas; logits changed by up to {change:.3f}")
as_described = abs(times - 2) < 1e-3 and change > 1e-2
sys.exit(0 if as_described else "CHANGED: the merge is not as described above")
PY
