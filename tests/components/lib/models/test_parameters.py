"""Which weights are optimized how, for each architecture by name."""

import pytest

from components.lib.models.build import SpecialIds, build_model
from components.lib.models.parameters import by_kind
from components.lib.models.shape import Shape
from components.lib.training.hyperparameters import Hyperparameters
from components.lib.training.optim import Optimizers

LLAMA = {
    "hidden": {
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "mlp.gate_proj",
        "mlp.up_proj",
        "mlp.down_proj",
    },
    "embedding": {"model.embed_tokens"},
    "other matrix": set(),
    "vector": {"input_layernorm", "post_attention_layernorm", "model.norm"},
}
ATTENTION = {name for name in LLAMA["hidden"] if name.startswith("self_attn")}
EXPECTED = {
    "llama": LLAMA,
    "sliding": LLAMA,
    "qwen3": {**LLAMA, "vector": LLAMA["vector"] | {"self_attn.q_norm", "self_attn.k_norm"}},
    "moe": {
        **LLAMA,
        "hidden": ATTENTION,
        "other matrix": {"mlp.gate", "mlp.experts.gate_up_proj", "mlp.experts.down_proj"},
    },
    "gpt2": {
        "hidden": {"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"},
        "embedding": {"transformer.wte", "transformer.wpe"},
        "other matrix": set(),
        "vector": {
            "attn.c_attn bias",
            "attn.c_proj bias",
            "mlp.c_fc bias",
            "mlp.c_proj bias",
            "ln_1",
            "ln_1 bias",
            "ln_2",
            "ln_2 bias",
            "transformer.ln_f",
            "transformer.ln_f bias",
        },
    },
    "bert": {
        "hidden": {
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "intermediate.dense",
            "output.dense",
            "bert.pooler.dense",
        },
        "embedding": {
            "bert.embeddings.word_embeddings",
            "bert.embeddings.position_embeddings",
            "bert.embeddings.token_type_embeddings",
        },
        "other matrix": {"cls.predictions.transform.dense", "cls.seq_relationship"},
        "vector": {
            "attention.self.query bias",
            "attention.self.key bias",
            "attention.self.value bias",
            "attention.output.dense bias",
            "attention.output.LayerNorm",
            "attention.output.LayerNorm bias",
            "intermediate.dense bias",
            "output.dense bias",
            "output.LayerNorm",
            "output.LayerNorm bias",
            "bert.pooler.dense bias",
            "bert.embeddings.LayerNorm",
            "bert.embeddings.LayerNorm bias",
            "cls.predictions bias",
            "cls.predictions.transform.dense bias",
            "cls.predictions.transform.LayerNorm",
            "cls.predictions.transform.LayerNorm bias",
            "cls.seq_relationship bias",
        },
    },
}
BLOCKS = ("model.layers.", "transformer.h.", "bert.encoder.layer.")


def build(architecture):
    key_value_heads = 2 if architecture in ("gpt2", "bert") else 1
    shape = Shape(
        architecture=architecture,
        width=32,
        num_layers=2,
        num_heads=2,
        num_key_value_heads=key_value_heads,
        num_experts=4,
        max_length=32,
    )
    return build_model(shape, 40, SpecialIds(0, 1), seed=0)


def short(name: str) -> str:
    """Return the name without its block, and with "bias" where it is one."""
    for prefix in BLOCKS:
        if name.startswith(prefix):
            name = name.removeprefix(prefix).split(".", 1)[1]
    return name.removesuffix(".weight").replace(".bias", " bias")


@pytest.mark.parametrize("architecture", EXPECTED)
def test_every_weight_is_of_the_kind_that_is_written_here(architecture):
    model = build(architecture)
    names = {id(parameter): short(name) for name, parameter in model.named_parameters()}
    found = {kind: {names[id(p)] for p in held} for kind, held in by_kind(model).items()}
    assert found == EXPECTED[architecture]


@pytest.mark.parametrize("architecture", EXPECTED)
def test_every_weight_is_optimized_once_and_vectors_never_decay(architecture):
    model = build(architecture)
    optimizers = Optimizers(model, Hyperparameters(num_steps=1, batch_size=1, learning_rate=0.1))
    groups = [group for optimizer in optimizers.all for group in optimizer.param_groups]
    held = [p for group in groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held}) == len(list(model.parameters()))
    for group in groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.0 if parameter.ndim == 1 else 0.1)


def test_a_weight_that_is_frozen_is_of_no_kind():
    model = build("llama")
    model.model.embed_tokens.weight.requires_grad_(False)
    assert by_kind(model)["embedding"] == []
