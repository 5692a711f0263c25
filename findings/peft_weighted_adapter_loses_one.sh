#!/usr/bin/env bash
# One would guess: add_weighted_adapter(["first", "second"], [1, 1], "both") gives the sum of two adapters.
# What happens: by default ("svd") the sum, of rank 8, is cut to the rank 4 of the larger input. Of two equal
#   adapters the result is off by two thirds; of a strong and a weak one, nearly all of the weak is lost.
#   "linear" adds the A's and the B's apart, so first x second cross terms come in, as large as the sum
#   itself. Only "cat" is the sum. Nothing warns.
# Versions: peft 0.21.2, torch 2.13.0, transformers 5.23.0, Python 3.11.
# Who is hurt: whoever joins adapters of two tasks into one: one task is gone, or both are worse.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2 numpy==2.4.6
export HF_HOME="$work/home" HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
"$work/venv/bin/python" - <<'PY'
import sys
import warnings
from importlib.metadata import version

import torch
from peft import LoraConfig, get_peft_model

warnings.simplefilter("error")  # a warning would fail this script
torch.manual_seed(1)
WIDTH, RANK, WEAK = 512, 4, 0.1
config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["layer"], init_lora_weights=False)
model = get_peft_model(
    torch.nn.ModuleDict({"layer": torch.nn.Linear(WIDTH, WIDTH)}), config, adapter_name="first"
)
model.add_adapter("second", config)
model.add_adapter("weak", config)
layer = model.base_model.model["layer"]
with torch.no_grad():
    layer.lora_B["weak"].weight.mul_(WEAK)


def delta(name):
    return layer.get_delta_weight(name).detach()


def error(name, parts):
    expected = sum(delta(part) for part in parts)
    return float((delta(name) - expected).norm() / expected.norm())


equal = ["first", "second"]
model.add_weighted_adapter(equal, [1.0, 1.0], "by default")
model.add_weighted_adapter(equal, [1.0, 1.0], "linear", combination_type="linear")
model.add_weighted_adapter(equal, [1.0, 1.0], "cat", combination_type="cat")
model.add_weighted_adapter(["first", "weak"], [1.0, 1.0], "with a weak one")
errors = {name: error(name, equal) for name in ("by default", "linear", "cat")}
rest = delta("with a weak one") - delta("first")
kept = float((rest * delta("weak")).sum() / delta("weak").square().sum())
print("peft", version("peft"), "torch", torch.__version__)
for name, size in errors.items():
    print(f"{name:10} is off the sum by {size:.0%} of it")
print(f"by default, first + weak keeps {kept:.0%} of the weak one")
as_described = (
    errors["by default"] > 0.3 and errors["linear"] > 0.5 and errors["cat"] < 1e-5 and kept < 0.1
)
sys.exit(0 if as_described else "CHANGED: the joined adapters are not as described above")
PY
