"""Six architectures: their classes, their first weights, and their first outputs."""

import pytest
import torch
from transformers import (
    BertForPreTraining,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    MistralForCausalLM,
    MixtralForCausalLM,
    Qwen3ForCausalLM,
)

from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import num_active_parameters, num_parameters
from components.lib.models.shape import Shape

CLASSES = {
    "llama": LlamaForCausalLM,
    "qwen3": Qwen3ForCausalLM,
    "gpt2": GPT2LMHeadModel,
    "sliding": MistralForCausalLM,
    "moe": MixtralForCausalLM,
    "bert": BertForPreTraining,
}
DECODERS = [name for name in CLASSES if name != "bert"]


def build(architecture, seed=0, **changes):
    ungrouped = architecture in ("gpt2", "bert")
    sizes = {"width": 48, "num_layers": 2, "num_heads": 4, "max_length": 32, "window": 8}
    sizes["num_key_value_heads"] = 4 if ungrouped else 2
    shape = Shape(architecture=architecture, **{**sizes, **changes})
    return build_model(shape, 512, SpecialIds(end_of_text=0, padding=1), seed)


@pytest.mark.parametrize("architecture", CLASSES)
def test_a_model_is_transformers_own_with_tied_embeddings_and_the_special_ids(architecture):
    model = build(architecture)
    assert type(model) is CLASSES[architecture]
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.config.eos_token_id == model.config.bos_token_id == 0
    assert model.config.pad_token_id == 1
    assert model.config.max_position_embeddings == 32


@pytest.mark.parametrize("architecture", CLASSES)
def test_the_seed_alone_decides_the_first_weights(architecture):
    one, same, other = build(architecture), build(architecture), build(architecture, seed=1)
    pairs = list(zip(one.parameters(), same.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not all(
        torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True)
    )


@pytest.mark.parametrize("architecture", CLASSES)
def test_matrices_start_at_zero_where_they_write_to_the_residual_and_else_as_normal(architecture):
    zero = ("o_proj.weight", "down_proj.weight", "c_proj.weight", "experts.down_proj")
    for name, parameter in build(architecture).named_parameters():
        if parameter.ndim == 1:
            assert set(parameter.unique().tolist()) <= {0.0, 1.0}, name
        elif architecture != "bert" and name.endswith(zero):
            assert not parameter.any(), name
        elif "embeddings" not in name or "word" in name:  # BERT's other tables are small
            few = 0.5 if parameter.numel() < 500 else 0.15
            assert parameter.std().item() == pytest.approx(0.02, rel=few), name


@pytest.mark.parametrize("architecture", DECODERS)
def test_every_block_of_a_decoder_begins_as_the_identity(architecture):
    model, deep = build(architecture), build(architecture, num_layers=5)
    shallow = model.state_dict()
    tables = {n: w for n, w in shallow.items() if "embed" in n or "wte" in n or "wpe" in n}
    deep.load_state_dict(tables, strict=False)
    deep.tie_weights()
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(model(input_ids=ids).logits, deep(input_ids=ids).logits)


def _random_weights(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("architecture", CLASSES)
def test_only_an_encoder_sees_what_comes_later(architecture):
    model = _random_weights(build(architecture))
    ids = torch.arange(2, 18)[None]
    changed = ids.clone()
    changed[0, -1] = 99
    with torch.no_grad():
        before, after = (model(input_ids=x)[0][0, :-1] for x in (ids, changed))
    same = torch.allclose(before, after, atol=1e-5)
    assert same == (architecture != "bert")


def test_a_sliding_window_hides_what_is_further_back_than_itself_in_every_layer():
    """Two layers of 8 see 7 + 7 tokens back, and no further."""
    model = _random_weights(build("sliding"))
    ids = torch.arange(2, 26)[None]
    changed = ids.clone()
    changed[0, 3] = 99
    with torch.no_grad():
        before, after = (model(input_ids=x).logits[0] for x in (ids, changed))
    differs = (before - after).abs().amax(-1) > 1e-4
    assert differs.nonzero().flatten().tolist() == list(range(3, 3 + 7 + 7 + 1))


def test_normalised_queries_and_keys_make_attention_deaf_to_their_size():
    """Scaling the projections of queries and keys changes a llama and leaves a qwen3 as it is."""
    ids = torch.arange(2, 18)[None]
    moved = {}
    for architecture in ("llama", "qwen3"):
        model = _random_weights(build(architecture))
        with torch.no_grad():
            before = model(input_ids=ids).logits
            for layer in model.model.layers:
                layer.self_attn.q_proj.weight.mul_(4)
                layer.self_attn.k_proj.weight.mul_(4)
            moved[architecture] = float((model(input_ids=ids).logits - before).abs().max())
    assert moved["qwen3"] < 1e-3 < 0.1 < moved["llama"]


@pytest.mark.parametrize("experts_per_token", [1, 2, 4])
def test_a_token_meets_about_as_many_weights_in_a_mixture_as_in_the_dense_model(experts_per_token):
    sizes = {"width": 192, "num_heads": 4, "num_experts_per_token": experts_per_token}
    dense, mixture = build("llama", **sizes), build("moe", **sizes)
    router = 2 * 8 * 192
    assert num_active_parameters(mixture) - router == num_parameters(dense)
    assert num_parameters(mixture) > 1.5 * num_parameters(dense)


@pytest.mark.parametrize("architecture", CLASSES)
def test_dropout_changes_what_training_computes_and_nothing_else(architecture):
    model = _random_weights(build(architecture, dropout=0.5))
    ids = torch.arange(2, 18)[None]
    with torch.no_grad():
        calm = [model.eval()(input_ids=ids)[0] for _ in range(2)]
        noisy = [model.train()(input_ids=ids)[0] for _ in range(2)]
    assert torch.equal(*calm)
    assert not torch.allclose(*noisy)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="This llama cannot be built: width=50 is not"):
        build("llama", width=50)
