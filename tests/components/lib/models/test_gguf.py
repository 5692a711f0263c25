"""A GGUF file: unpacked once, with the weights, the tokenizer and the ends that it states."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from components.lib.models.folders import load_model, load_tokenizer
from components.lib.models.gguf import import_gguf, read_metadata

gguf = pytest.importorskip("gguf")

TEMPLATE = "{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}"
NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=260,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


def _permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rotary halves as GGUF has them: interleaved."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return rows.swapaxes(1, 2).reshape(weight.shape)


@pytest.fixture(scope="module")
def file(model, tmp_path_factory) -> Path:
    from tokenizers.pre_tokenizers import ByteLevel

    place = tmp_path_factory.mktemp("gguf") / "otter.gguf"
    writer = gguf.GGUFWriter(place, "llama")
    writer.add_name("otter")
    writer.add_license("apache-2.0")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(16)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(260)
    writer.add_tokenizer_model("gpt2")
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "ab"]
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * 257)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, value in model.state_dict().items():
        array = value.numpy().copy()
        if name == "model.embed_tokens.weight":
            writer.add_tensor("token_embd.weight", array)
        elif name == "model.norm.weight":
            writer.add_tensor("output_norm.weight", array)
        elif name.startswith("model.layers.0."):
            inner = name.removeprefix("model.layers.0.").removesuffix(".weight")
            if inner.endswith(("q_proj", "k_proj")):
                array = _permuted(array, 2)
            writer.add_tensor(f"blk.0.{NAMES[inner]}.weight", array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return place


def test_it_becomes_safetensors_with_the_same_logits_and_can_be_saved_again(model, file, tmp_path):
    metadata = import_gguf(file, tmp_path)
    assert metadata["general.license"] == "apache-2.0"
    ids = torch.tensor([[5, 6, 7, 8]])
    loaded = load_model(tmp_path)
    torch.testing.assert_close(
        loaded(input_ids=ids).logits, model(input_ids=ids).logits, rtol=1e-3, atol=1e-4
    )
    loaded.save_pretrained(tmp_path / "again")
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_its_ends_and_its_template_come_along(file, tmp_path):
    import_gguf(file, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    assert special == [1, 2, 2]
    assert tokenizer.chat_template == TEMPLATE
    assert json.loads((tmp_path / "config.json").read_text())["eos_token_id"] == 2


def test_a_file_that_is_cut_short_is_refused_by_name(file, tmp_path):
    short = tmp_path / "short.gguf"
    for size in (len(file.read_bytes()) - 200, 2000, 10):
        short.write_bytes(file.read_bytes()[:size])
        with pytest.raises(ValueError, match=r"short\.gguf is (no GGUF file, or is )?cut short"):
            read_metadata(short)


def test_what_is_no_gguf_file_or_one_of_several_is_refused(tmp_path):
    (tmp_path / "notes.gguf").write_text("notes " * 100)
    with pytest.raises(ValueError, match="is no GGUF file"):
        read_metadata(tmp_path / "notes.gguf")
    with pytest.raises(ValueError, match=r"one of 3 parts.*llama-gguf-split --merge"):
        read_metadata(tmp_path / "otter-00001-of-00003.gguf")


def test_an_end_that_is_not_what_the_file_says_is_refused(file, tmp_path):
    from components.lib.models.gguf import _check_tokenizer

    import_gguf(file, tmp_path)
    tokenizer, said = load_tokenizer(tmp_path), read_metadata(file)
    _check_tokenizer(tokenizer, said, file)
    with pytest.raises(ValueError, match="its eos token is 0, and transformers makes it 2"):
        _check_tokenizer(tokenizer, said | {"tokenizer.ggml.eos_token_id": 0}, file)
