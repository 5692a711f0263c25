"""Adapters: nothing else is trained, PEFT reads them, and a merge that lies is refused."""

import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.state_dict import get_model_state_dict
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from components.lib.models.adapters import ADAPTER, adapt, merged, prove_merge, save_adapter
from components.lib.models.folders import load_model
from components.lib.models.lora import LoRA

SIZES = {"vocab_size": 100, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, **HEADS)),
    "tied": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, **HEADS, tie_word_embeddings=True)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=100, n_embd=32, n_layer=2, n_head=4)),
}
TEXTS = torch.randint(100, (2, 20), generator=torch.Generator().manual_seed(1))


def tuned(kind, lora, folder, steps=20):
    """Train an adapter a little; leave the base, the adapter and the merged model in `folder`."""
    torch.manual_seed(0)
    MODELS[kind]().save_pretrained(folder / "base")
    model = load_model(folder / "base")
    adapt(model, lora, seed=0)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.5)
    for _ in range(steps):
        model(input_ids=TEXTS, labels=TEXTS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    save_adapter(model, lora, "base", get_model_state_dict(model), folder / ADAPTER)
    merged(folder / "base", folder / ADAPTER, lora).save_pretrained(folder)
    return model.eval()


@torch.no_grad()
def logits(model):
    return model(input_ids=TEXTS, use_cache=False).logits


@pytest.mark.parametrize("kind", sorted(MODELS))
@pytest.mark.parametrize("method", ["lora", "rslora", "dora"])
def test_the_merged_model_is_the_one_that_was_trained(kind, method, tmp_path):
    lora = LoRA(rank=4, method=method)
    trained = tuned(kind, lora, tmp_path)
    prove_merge(tmp_path / "base", tmp_path, TEXTS, lora)
    report = json.loads((tmp_path / "merge.json").read_text())
    assert report["moved_by_the_adapter"] > 0.1, "nothing was learnt, so nothing is shown"
    assert report["same_greedy_tokens"] == 1.0
    assert torch.allclose(logits(load_model(tmp_path)), logits(trained), atol=1e-4)
    alone = PeftModel.from_pretrained(load_model(tmp_path / "base"), tmp_path / ADAPTER)
    assert torch.allclose(logits(alone), logits(trained), atol=1e-5)


def test_a_base_in_four_bits_is_merged_as_it_was_rounded(tmp_path):
    lora = LoRA(rank=4, base="nf4")
    trained = tuned("tied", lora, tmp_path)
    map_of = trained.model.layers[0].mlp.down_proj.base_layer
    assert map_of.weight.numel() * map_of.weight.element_size() == 32 * 64 // 2
    before = trained.model.layers[0].mlp.down_proj.base_layer.weight.data.clone()
    logits(trained)
    assert torch.equal(map_of.weight.data, before), "an evaluation changed the base"
    prove_merge(tmp_path / "base", tmp_path, TEXTS, lora)
    merged_logits = logits(load_model(tmp_path))
    scale = float(merged_logits.abs().max())
    assert float((merged_logits - logits(trained)).abs().max()) < 2e-2 * scale
    unrounded = PeftModel.from_pretrained(load_model(tmp_path / "base"), tmp_path / ADAPTER)
    assert float((logits(unrounded) - merged_logits).abs().max()) > 2e-2 * scale


def test_a_model_without_linear_maps_of_torch_is_refused_in_four_bits(tmp_path):
    with pytest.raises(ValueError, match="GPT2LMHeadModel has no linear maps of torch"):
        tuned("gpt2", LoRA(base="nf4"), tmp_path)


def test_before_it_is_trained_it_changes_nothing_and_then_nothing_else_changes(tmp_path):
    lora = LoRA(rank=4)
    untouched = tuned("tied", lora, tmp_path, steps=0)
    base = load_model(tmp_path / "base")
    assert torch.equal(logits(untouched), logits(base))
    trained = dict(tuned("tied", lora, tmp_path).named_parameters())
    assert {name for name, p in trained.items() if p.requires_grad} == {
        name for name in trained if "lora_" in name
    }
    for name, weight in base.named_parameters():
        same = trained.get(name, trained.get(name.replace(".weight", ".base_layer.weight")))
        assert torch.equal(same, weight), name


def test_only_what_is_named_gets_an_adapter(tmp_path):
    model = tuned("llama", LoRA(rank=2, targets=("q_proj",)), tmp_path)
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(names) == 4
    assert all(".q_proj.lora_" in name for name in names)


def test_a_target_that_the_model_does_not_have_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"\['c_attn'\] does not fit this LlamaForCausalLM"):
        tuned("llama", LoRA(targets=("c_attn",)), tmp_path)


def _scaled_adapter(folder):
    config = folder / ADAPTER / "adapter_config.json"
    facts = json.loads(config.read_text())
    config.write_text(json.dumps(facts | {"lora_alpha": 2 * facts["lora_alpha"]}))


def _head_of_the_base(folder):
    """A merge on tied embeddings that keeps the untrained table."""
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"] * 1.1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _layer_left_out(folder):
    weights, base = (load_file(f / "model.safetensors") for f in (folder, folder / "base"))
    name = "model.layers.1.mlp.down_proj.weight"
    save_file(weights | {name: base[name]}, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("plant", [_scaled_adapter, _head_of_the_base, _layer_left_out])
def test_a_merge_that_is_not_the_adapter_is_refused_with_the_number(plant, tmp_path):
    lora = LoRA(rank=4)
    tuned("tied", lora, tmp_path)
    plant(tmp_path)
    with pytest.raises(
        ValueError, match=r"The merged model is not the adapter: on 40 tokens a logit"
    ):
        prove_merge(tmp_path / "base", tmp_path, TEXTS, lora)
