#!/usr/bin/env bash
# One would guess: reading a text through a frozen layer in 4 bits leaves the layer as it was.
# What happens: on a processor with AVX512-BF16, the first forward pass in evaluation mode without
#   gradients packs the weights anew for a faster kernel, and keeps the scales of their blocks in
#   bfloat16 from then on. The layer's weights are other ones afterwards, in training too. Nothing
#   is said. A layer that is built for training alone is exact until its first validation.
# Versions: bitsandbytes 0.50.2, torch 2.13.0, Python 3.11.
# Who is hurt: whoever validates during QLoRA on a CPU, or merges an adapter into weights that were
#   quantized apart. `Linear4bit.support_avx512bf16_for_cpu = False` on each layer keeps it exact.
set -euo pipefail
if ! grep -q avx512_bf16 /proc/cpuinfo; then
    echo "This processor has no AVX512-BF16, where this happens: nothing was run."
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 bitsandbytes==0.50.2 numpy==2.4.6
export PYTHONDONTWRITEBYTECODE=1
"$work/venv/bin/python" - <<'PY'
import sys

import bitsandbytes as bnb
import torch


def layer(packs):
    torch.manual_seed(0)
    plain = torch.nn.Linear(256, 256, bias=False)
    small = bnb.nn.Linear4bit(256, 256, bias=False, compute_dtype=torch.float32, quant_type="nf4")
    small.weight = bnb.nn.Params4bit(plain.weight.data, requires_grad=False, quant_type="nf4")
    small.support_avx512bf16_for_cpu = packs and small.support_avx512bf16_for_cpu
    return small.to("cpu")


def moved_by_an_evaluation(packs):
    """Return how far an evaluation moves what the layer computes while it trains."""
    small = layer(packs)
    inputs = torch.randn(8, 256, generator=torch.Generator().manual_seed(1))
    trained = inputs.clone().requires_grad_()
    before = small.train()(trained).detach()
    with torch.no_grad():
        small.eval()(inputs)
    small.train()
    state = small.weight.quant_state
    if getattr(state, "packing_format_for_cpu", False):  # what it does before it saves itself
        small.weight.data, small.weight.quant_state = (
            bnb.functional._convert_weight_packed_for_cpu_inverse(small.weight.data, state)
        )
    after = small(trained).detach()
    return float((after - before).abs().max() / before.abs().max())


print("bitsandbytes", bnb.__version__, "torch", torch.__version__)
packing, plain = moved_by_an_evaluation(True), moved_by_an_evaluation(False)
print(f"moved by an evaluation: {packing:.2e} of the largest output, {plain:.2e} without packing")
sys.exit(not (packing > 1e-4 and plain == 0.0))
PY
