#!/usr/bin/env bash
# One would guess: ONNX Runtime GenAI's model builder writes the model it is given, or refuses it.
# What happens: it takes for the output head every linear layer whose number of outputs equals the size of the
#   vocabulary. A model whose feed-forward or residual width happens to equal that number is exported
#   with exit code 0, runs, and gives other logits. One id more in the vocabulary, and all is right.
# Versions: onnxruntime-genai 0.18.0, onnxruntime 1.31.1, transformers 5.23.0, torch 2.13.0, Python 3.11.
# Who is hurt: whoever exports a small model with a vocabulary of a round size: 256 bytes, 4,096 subwords.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.23.0 numpy==2.4.6 onnx==1.23.2 \
    onnx-ir==1.1.0 onnxruntime==1.31.1 onnxruntime-genai==0.18.0
export HF_HOME="$work/home" HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
cd "$work"
venv/bin/python - 2>log <<'PY' || { code=$?; tail -n 5 log >&2; exit "$code"; }
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import onnxruntime
import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

IDS, HEADS, HEAD_SIZE = [[3, 10, 11, 12]], 2, 32


def difference(vocabulary, feed_forward):
    """Export a random model; the largest difference of a logit, and the largest logit."""
    torch.manual_seed(1)
    shape = {"hidden_size": HEADS * HEAD_SIZE, "num_hidden_layers": 1, "num_attention_heads": HEADS}
    sizes = {"vocab_size": vocabulary, "intermediate_size": feed_forward, "initializer_range": 0.2}
    model = LlamaForCausalLM(LlamaConfig(**shape, **sizes, num_key_value_heads=HEADS)).eval()
    names = {f"token{number}": number for number in range(vocabulary)}
    words = Tokenizer(models.WordLevel(names, unk_token="token0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="token0")
    source, target = f"model{vocabulary}", f"export{vocabulary}"
    model.save_pretrained(source)
    tokenizer.save_pretrained(source)
    builder = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    places = ["-i", source, "-o", target, "-c", "cache", "-p", "fp32", "-e", "cpu"]
    subprocess.run(builder + places, check=True, stdout=sys.stderr)
    session = onnxruntime.InferenceSession(f"{target}/model.onnx")
    empty = np.zeros((1, HEADS, 0, HEAD_SIZE), np.float32)
    feed = {f"past_key_values.0.{kind}": empty for kind in ("key", "value")}
    feed |= {"input_ids": np.array(IDS), "attention_mask": np.ones_like(IDS)}
    exported = session.run(["logits"], feed)[0]
    with torch.no_grad():
        expected = model(torch.tensor(IDS)).logits.numpy()
    return float(abs(exported - expected).max()), float(abs(expected).max())


print("onnxruntime-genai", version("onnxruntime-genai"))
equal, equal_largest = difference(128, 128)
apart, apart_largest = difference(129, 128)
print(f"vocabulary 128, feed-forward 128: off by {equal:.4f} of {equal_largest:.4f}")
print(f"vocabulary 129, feed-forward 128: off by {apart:.6f} of {apart_largest:.4f}")
as_described = equal > 0.1 * equal_largest and apart < 1e-4
sys.exit(0 if as_described else "CHANGED: the exports are not as described above")
PY
