"""The GGUF export: llama.cpp computes from the file what transformers computes from the model."""

import hashlib

import numpy as np
import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from components.compress.gguf.check import check_tensors, compare
from components.compress.gguf.export import export_gguf
from components.lib.inference.llama.gguf_model import LlamaCppModel
from components.lib.inference.torch_model import TorchModel
from components.lib.models.folders import load_tokenizer

gguf = pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}
KINDS = {
    "llama": (LlamaForCausalLM, LlamaConfig, {}),
    "llama, untied, biases, wide heads": (
        LlamaForCausalLM,
        LlamaConfig,
        {"tie_word_embeddings": False, "attention_bias": True, "head_dim": 32},
    ),
    "llama 3": (LlamaForCausalLM, LlamaConfig, {"rope_parameters": LLAMA3}),
    "llama, linear": (LlamaForCausalLM, LlamaConfig, {"rope_parameters": LINEAR}),
    "mistral": (MistralForCausalLM, MistralConfig, {"sliding_window": None}),
    "mistral, window": (MistralForCausalLM, MistralConfig, {"sliding_window": 40}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {}),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 32}),
}


def ids(model, length=40):
    return np.random.default_rng(1).integers(model.vocab_size, size=(2, length))


@pytest.mark.parametrize("kind", KINDS)
def test_llama_cpp_computes_from_the_file_what_the_model_computes(kind, make, tmp_path):
    of, config, sizes = KINDS[kind]
    model = make(of, config, tmp_path / "model", **sizes)
    export_gguf(tmp_path / "model", tmp_path / "model.gguf", "f16")
    exported = LlamaCppModel(tmp_path / "model.gguf", num_threads=1)
    rows = ids(exported)
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(rows[:, :-1])).logits
    targets = torch.from_numpy(rows[:, 1:])
    nats = torch.nn.functional.cross_entropy(logits.mT, targets, reduction="none").numpy()
    assert nats.std() > 0.5, "a model that says something"
    np.testing.assert_allclose(exported.negative_log_likelihood(rows), nats, atol=0.05)


@pytest.mark.parametrize("quantization", ["q8_0", "q5_1", "q5_0", "q4_1", "q4_0"])
def test_every_matrix_is_quantized_and_more_bits_are_nearer(quantization, make, tmp_path):
    model = make(LlamaForCausalLM, LlamaConfig, tmp_path / "model")
    export_gguf(tmp_path / "model", tmp_path / "model.gguf", quantization)
    counts = check_tensors(tmp_path / "model.gguf", model, quantization)
    matrices = sum(parameter.dim() > 1 for parameter in model.parameters())
    norms = sum(parameter.dim() == 1 for parameter in model.parameters())
    expected = {"F32": norms, "Q8_0": 1, quantization.upper(): matrices - 1}
    if quantization == "q8_0":
        expected = {"F32": norms, "Q8_0": matrices}
    assert counts == expected
    exported = LlamaCppModel(tmp_path / "model.gguf", num_threads=1)
    rows = ids(exported)
    before = TorchModel(model).negative_log_likelihood(rows)
    error = np.abs(exported.negative_log_likelihood(rows) - before).mean() / before.mean()
    assert error < {"q8": 0.02, "q5": 0.1, "q4": 0.2}[quantization[:2]]


def test_attention_to_a_window_declares_the_window_as_its_longest_context(make, tmp_path):
    make(MistralForCausalLM, MistralConfig, tmp_path / "model", sliding_window=16)
    export_gguf(tmp_path / "model", tmp_path / "model.gguf", "q8_0")
    exported = LlamaCppModel(tmp_path / "model.gguf", num_threads=1)
    assert exported.context_length == 16
    with pytest.raises(ValueError, match="do not fit a context of 16"):
        exported.negative_log_likelihood(ids(exported))


def test_the_same_model_gives_the_same_bytes(make, tmp_path):
    make(LlamaForCausalLM, LlamaConfig, tmp_path / "model")
    found = []
    for name in ("one.gguf", "two.gguf"):
        export_gguf(tmp_path / "model", tmp_path / name, "q4_0")
        found.append(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert found[0] == found[1]


def test_queries_that_were_not_reordered_are_caught_by_the_comparison(make, tmp_path, monkeypatch):
    model = make(LlamaForCausalLM, LlamaConfig, tmp_path / "model")
    monkeypatch.setattr("components.compress.gguf.export._interleaved", lambda value, _: value)
    export_gguf(tmp_path / "model", tmp_path / "model.gguf", "q8_0")
    exported = LlamaCppModel(tmp_path / "model.gguf", num_threads=1)
    with pytest.raises(ValueError, match="does not compute what the model does"):
        compare(TorchModel(model), exported, "q8_0", load_tokenizer(tmp_path / "model"))


def test_a_weight_of_another_value_or_another_type_is_caught_by_reading_back(make, tmp_path):
    model = make(LlamaForCausalLM, LlamaConfig, tmp_path / "model")
    export_gguf(tmp_path / "model", tmp_path / "model.gguf", "q8_0")
    with pytest.raises(ValueError, match=r"should be Q4_0, and it is Q8_0"):
        check_tensors(tmp_path / "model.gguf", model, "q4_0")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 5] += 0.05
    with pytest.raises(ValueError, match=r"blk\.1\.ffn_up\.weight read back from Q8_0"):
        check_tensors(tmp_path / "model.gguf", model, "q8_0")


def test_what_does_not_fit_is_refused_with_the_remedy(make, tmp_path):
    make(LlamaForCausalLM, LlamaConfig, tmp_path / "narrow", hidden_size=48, head_dim=16)
    with pytest.raises(ValueError, match=r"hidden_size is 48.*train with 64, or .*'f16'"):
        export_gguf(tmp_path / "narrow", tmp_path / "model.gguf", "q8_0")
    export_gguf(tmp_path / "narrow", tmp_path / "model.gguf", "f16")
    make(LlamaForCausalLM, LlamaConfig, tmp_path / "gelu", hidden_act="gelu")
    with pytest.raises(ValueError, match=r"use gelu, and llama\.cpp computes silu"):
        export_gguf(tmp_path / "gelu", tmp_path / "model.gguf", "q8_0")
