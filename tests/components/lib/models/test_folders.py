"""Model folders: what is saved comes back, and what is not whole is refused."""

import json
import shutil
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import (
    flops_per_token,
    load_model,
    load_tokenizer,
    num_active_parameters,
    num_parameters,
    save_model,
)
from components.lib.models.shape import ArchitectureName, Shape


def tiny(**changes):
    sizes = {"width": 48, "num_layers": 2, "num_heads": 4, "num_key_value_heads": 2}
    shape = Shape(**{**sizes, "max_length": 32, **changes})
    return build_model(shape, 512, SpecialIds(end_of_text=0, padding=1), seed=0)


@pytest.fixture
def folder(vocabulary, tmp_path):
    save_model(tiny(), vocabulary.path, tmp_path / "model")
    return tmp_path / "model"


def test_the_shapes_and_the_number_of_weights_are_those_of_the_paper():
    model = tiny()
    feed_forward = 128  # 8/3 x 48, up to a multiple of 64
    attention = 48 * 48 + 2 * 48 * 24 + 48 * 48
    block = attention + 3 * 48 * feed_forward + 2 * 48
    assert num_parameters(model) == 512 * 48 + 2 * block + 48
    assert model.config.intermediate_size == feed_forward
    assert tiny(width=192, num_heads=4).config.intermediate_size == 512, "an exact multiple grew"


def of(architecture, **changes):
    heads = 4 if architecture in ("gpt2", "bert") else 2
    return tiny(architecture=architecture, num_key_value_heads=heads, **changes)


def vectors(model):
    return sum(p.numel() for p in model.parameters() if p.ndim == 1)


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gpt2", "sliding", "moe"])
def test_the_flops_of_a_token_are_those_of_its_matrix_products(architecture):
    """Counted by torch on the forward pass; training takes three times as many."""
    from torch.utils.flop_counter import FlopCounterMode

    model, length = of(architecture, window=64), 32
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.zeros((1, length), dtype=torch.long))
    counted = 3 * counter.get_total_flops() / length
    assert flops_per_token(model, length) - 6 * vectors(model) == pytest.approx(counted, rel=1e-6)


def test_an_encoder_asks_its_output_head_at_a_share_of_the_positions():
    from torch.utils.flop_counter import FlopCounterMode

    model, length = of("bert"), 32
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.zeros((1, length), dtype=torch.long))
    counted = 3 * counter.get_total_flops() / length
    once = 6 * (48 * 48 + 2 * 48) * (1 - 1 / length)  # pooler and next sentence: once a sequence
    found = flops_per_token(model, length) - 6 * vectors(model)
    assert found - once == pytest.approx(counted, rel=1e-6)
    saved = flops_per_token(model, length) - flops_per_token(model, length, predicted=0.15)
    assert saved == pytest.approx(6 * 0.85 * 512 * 48)


def test_a_window_bounds_what_attention_costs():
    model = of("sliding", window=8)
    assert flops_per_token(model, 8) == flops_per_token(model, 32)
    assert flops_per_token(model, 4) < flops_per_token(model, 8)


def test_a_token_meets_two_of_eight_experts_and_all_of_the_rest():
    model = of("moe")
    experts = sum(p.numel() for name, p in model.named_parameters() if ".experts." in name)
    assert num_active_parameters(model) == num_parameters(model) - experts * 6 / 8
    assert num_active_parameters(tiny()) == num_parameters(tiny())


@pytest.mark.parametrize("architecture", ["qwen3", "gpt2", "sliding", "moe", "bert"])
def test_every_architecture_comes_back_as_it_was_saved(architecture, vocabulary, tmp_path):
    model = of(architecture).eval()
    save_model(model, vocabulary.path, tmp_path)
    loaded = load_model(tmp_path)
    assert type(loaded) is type(model)
    ways = ("_attn_implementation", "_experts_implementation")
    assert [getattr(loaded.config, way) for way in ways] == [
        getattr(model.config, way) for way in ways
    ]
    pairs = zip(model.named_parameters(), loaded.parameters(), strict=True)
    for (name, one), other in pairs:
        assert torch.equal(one, other), name
    ids = torch.tensor([[5, 6, 7]])
    for one, other in zip(model(input_ids=ids)[:2], loaded(input_ids=ids)[:2], strict=True):
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(one, other)


def test_an_encoder_without_one_of_its_heads_is_refused(vocabulary, tmp_path):
    save_model(of("bert"), vocabulary.path, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["cls.seq_relationship.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"missing_keys.*cls\.seq_relationship\.weight"):
        load_model(tmp_path)


def test_a_saved_model_comes_back_with_the_same_logits_in_float32(folder):
    model = load_model(folder)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.training
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(model(input_ids=ids).logits, tiny()(input_ids=ids).logits)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert not list(folder.glob("*.bin"))


def test_a_layer_that_is_missing_from_the_weights_is_refused_by_name(folder):
    file = folder / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"do not fit.*missing_keys.*layers\.1\.mlp\.up_proj"):
        load_model(folder)


def test_a_layer_too_many_is_refused_by_name(folder):
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] = 1
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"do not fit.*unexpected_keys.*layers\.1"):
        load_model(folder)


def test_weights_of_another_shape_are_refused(folder):
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"] = torch.ones(47)
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"do not fit.*mismatched_keys.*model\.norm\.weight"):
        load_model(folder)


def test_a_folder_without_weights_or_config_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"no config\.json"):
        load_model(tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises((ValueError, OSError), match="safetensors"):
        load_model(folder)


def test_a_pickle_in_place_of_safetensors_is_refused(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises((ValueError, OSError), match="safetensors"):
        load_model(folder)


def test_a_model_without_its_tokenizer_is_refused_with_the_remedy(folder, tmp_path):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"no tokenizer\.json.*Save the tokenizer"):
        load_tokenizer(folder)


def test_a_folder_stands_on_its_own_wherever_it_is_copied(folder, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    shutil.rmtree(folder)
    tokenizer = load_tokenizer(moved)
    text = "The Union, 1790."
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert load_model(moved).config.vocab_size == len(tokenizer)


@pytest.mark.parametrize("architecture", get_args(ArchitectureName))
def test_a_model_comes_back_as_what_it_was_with_the_same_weights(architecture, tmp_path):
    model = of(architecture)
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert type(loaded) is type(model)
    for (name, saved), found in zip(model.named_parameters(), loaded.parameters(), strict=True):
        assert torch.equal(saved, found), name


def _renamed(folder, architectures):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": architectures}))


def test_a_model_whose_config_names_no_class_is_a_causal_language_model(folder):
    _renamed(folder, None)
    assert type(load_model(folder)).__name__ == "LlamaForCausalLM"


@pytest.mark.parametrize("name", ["LlamaForNothing", "AutoModelForCausalLM", "LlamaConfig"])
def test_a_class_that_transformers_does_not_have_is_refused_by_name(folder, name):
    _renamed(folder, [name])
    with pytest.raises(ValueError, match=f"the class {name} in its config.*no such model.*Save"):
        load_model(folder)
