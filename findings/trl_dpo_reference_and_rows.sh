#!/usr/bin/env bash
# One would guess: DPOTrainer's reference is the model it is handed, so the first loss is ln 2, and it
#   trains on the rows it is handed.
# What happens: without ref_model or precompute_ref_log_probs, the reference is read again from the folder
#   that the model came from. A model changed in memory since then (merged, resized, quantized) is compared
#   with the old one. And a row whose prompt alone fills max_length is dropped: nothing counts it.
# Versions: trl 1.16.0, transformers 5.23.0, torch 2.13.0, datasets 5.2.0, Python 3.11.
# Who is hurt: whoever aligns a merged model in one process, or trains on long prompts.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.23.0 trl==1.16.0 datasets==5.2.0 \
    accelerate==1.15.0 numpy==2.4.6 pandas==3.1.1 pyarrow==25.0.1
export HF_HOME="$work/home" HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore
cd "$work"
venv/bin/python - >out 2>&1 <<'PY' || { code=$?; tail -n 15 out >&2; exit "$code"; }
import math
import sys
from importlib.metadata import version

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

torch.manual_seed(1)
vocabulary = {word: number for number, word in enumerate("<pad> <end> <unk> ore slag yes no".split())}
words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=words, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
)
shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "vocab_size": 7}
heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "pad_token_id": 0, "eos_token_id": 1}
LlamaForCausalLM(LlamaConfig(**shape, **heads, bos_token_id=None)).save_pretrained("model")
short = {"prompt": "ore slag ", "chosen": "yes", "rejected": "no"}
rows = Dataset.from_list([short] * 8 + [short | {"prompt": "ore " * 12}] * 4)


def first_loss(change):
    model = LlamaForCausalLM.from_pretrained("model")
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(change * torch.randn_like(weights))
    options = {"max_length": 8, "max_steps": 1, "logging_steps": 1, "beta": 0.5, "bf16": False}
    places = {"output_dir": "run", "report_to": "none", "save_strategy": "no", "use_cpu": True}
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(**options, **places),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    trainer.train()
    numbers = trainer.state.log_history[0]
    return numbers["loss"], len(trainer.train_dataset), trainer.state.log_history


as_loaded, trained_on, log = first_loss(0.0)
changed, _, _ = first_loss(0.5)
counted = [key for entry in log for key in entry if "drop" in key or "filter" in key]
print("RESULT trl", version("trl"), "transformers", version("transformers"))
print(f"RESULT ln 2 = {math.log(2):.4f}, first loss as loaded {as_loaded:.4f}, changed {changed:.4f}")
print(f"RESULT rows given {len(rows)}, trained on {trained_on}, metrics that count the rest {counted}")
reference = abs(as_loaded - math.log(2)) < 1e-4 and abs(changed - math.log(2)) > 0.01
as_described = reference and len(rows) == 12 and trained_on == 8 and not counted
sys.exit(0 if as_described else "CHANGED: the reference or the rows are not as described above")
PY
sed -n 's/^RESULT //p' out
