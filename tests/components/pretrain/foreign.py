"""Models as others make them: tiny, with random weights, and a tokenizer of theirs."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

CHATML = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
    "<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<start_of_turn>' + (m['role'] if m['role'] == 'user' else 'model') + '\n' "
    "+ m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
_SIZES = {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 256}
_GATED = {**_SIZES, "hidden_size": 32, "intermediate_size": 48, "num_key_value_heads": 1}
_PLAIN = {**_SIZES, "hidden_size": 32, "intermediate_size": 48}
CONFIGS: dict[str, dict[str, Any]] = {
    "Llama": _GATED,
    "Qwen2": _GATED,
    "Qwen3": {**_GATED, "head_dim": 16},
    "Gemma2": {**_GATED, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 32},
    "Gemma3Text": {**_GATED, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 32},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 256},
    "Mistral": {**_GATED, "sliding_window": 64},
    "Phi": _PLAIN,
    "OPT": {**_SIZES, "hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 48},
    "GPTNeoX": _PLAIN,
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 2, "seq_length": 256},
}


def byte_level(*special: str, begins: bool = False) -> Tokenizer:
    """A byte-level tokenizer like GPT-2's, without merges; the first special token may begin."""
    names = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(models.BPE(vocab={n: i for i, n in enumerate(names)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(special))
    if begins:
        _begin(made, special[0])
    return made


def sentence_piece(*special: str) -> Tokenizer:
    """A tokenizer like Llama's: a space before the first word, bytes for what it lacks."""
    names = ["<unk>", *special, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "▁a"]
    vocab = {name: index for index, name in enumerate(names)}
    made = Tokenizer(
        models.BPE(vocab=vocab, merges=[("▁", "a")], byte_fallback=True, unk_token="<unk>")
    )
    space = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    made.normalizer = normalizers.Sequence(space)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    made.add_special_tokens(list(special))
    _begin(made, special[0])
    return made


def _begin(tokenizer: Tokenizer, token: str) -> None:
    pairs = [(token, tokenizer.token_to_id(token))]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{token} $A", special_tokens=pairs
    )


def save_tokenizer(tokenizer: Tokenizer, folder: Path, template: str | None, **named: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {"tokenizer_class": "LlamaTokenizerFast", "legacy": True, **named}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=4), "utf-8")
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, "utf-8")


def smol(folder: Path, kind: str = "Llama", template: str | None = CHATML, **changes: Any) -> Path:
    """Save a model like SmolLM2: what fills up is what ends a turn."""
    tokenizer = byte_level("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    end = "<|im_end|>" if template else "<|endoftext|>"
    save_tokenizer(
        tokenizer, folder, template, bos_token="<|im_start|>", eos_token=end, pad_token=end
    )
    last = tokenizer.token_to_id(end)
    special = {"bos_token_id": 1, "eos_token_id": last, "pad_token_id": last}
    save_model(folder, kind, tokenizer.get_vocab_size(), **special, **changes)
    return folder


def gemma(folder: Path, kind: str = "Gemma2") -> Path:
    """Save a model like Gemma: it wants a beginning, and ends turns otherwise than texts."""
    special = ("<bos>", "<eos>", "<pad>", "<start_of_turn>", "<end_of_turn>")
    tokenizer = sentence_piece(*special)
    named = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
    save_tokenizer(tokenizer, folder, GEMMA, **named)
    ids = {f"{name}_id": tokenizer.token_to_id(token) for name, token in named.items()}
    save_model(folder, kind, tokenizer.get_vocab_size(), **ids)
    return folder


def save_model(folder: Path, kind: str, vocab_size: int, **changes: Any) -> None:
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=vocab_size, **{**CONFIGS[kind], **changes}
    )
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
