#!/usr/bin/env bash
# One would guess: the model builder of ONNX Runtime GenAI writes a graph that loads, or refuses the options.
# What happens: at int4 with an output head of 8 bits (matmul_mixed_precision=last_matmul:int8), a model whose head is
#   tied to its embedding gets a lookup that reads lm_head.MatMul.weight_Q8G32, and the file calls it weight_Q8. The
#   builder ends with exit code 0, and the graph does not load. With shared_embeddings=false it does.
# Versions: onnxruntime-genai 0.18.0, onnxruntime 1.31.1, transformers 5.23.0, torch 2.13.0, Python 3.11.
# Who is hurt: whoever exports a small model at 4 bits and spares its head, as small models need; nearly all tie it.
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

import onnx
import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

torch.manual_seed(1)
shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "vocab_size": 96}
heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": True}
model = LlamaForCausalLM(LlamaConfig(**shape, **heads, bos_token_id=3, eos_token_id=1))
words = Tokenizer(models.WordLevel({f"token{n}": n for n in range(96)}, unk_token="token0"))
PreTrainedTokenizerFast(
    tokenizer_object=words, unk_token="token0", eos_token="token1"
).save_pretrained("model")
model.save_pretrained("model")


def dangling(folder, *options):
    """Build, and return the inputs of nodes that nothing gives."""
    mixed = "matmul_mixed_precision=last_matmul:int8"
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", "model"]
    command += ["-o", folder, "-c", "cache", "-p", "int4", "-e", "cpu"]
    command += ["--extra_options", mixed, *options]
    subprocess.run(command, check=True, stdout=sys.stderr)
    graph = onnx.load(f"{folder}/model.onnx", load_external_data=False).graph
    given = {each.name for each in [*graph.initializer, *graph.input]}
    given |= {name for node in graph.node for name in node.output}
    return sorted({name for node in graph.node for name in node.input} - given - {""})


print("onnxruntime-genai", version("onnxruntime-genai"))
shared, apart = dangling("shared"), dangling("apart", "shared_embeddings=false")
print("inputs that nothing gives:", shared, "and with shared_embeddings=false:", apart)
as_described = any("lm_head" in name for name in shared) and not apart
sys.exit(0 if as_described else "CHANGED: not as described above")
PY
