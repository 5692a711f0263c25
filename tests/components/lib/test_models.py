"""Model folders: what is saved comes back, and what is not whole is refused."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.lib.architectures import SpecialIds, build_model
from components.lib.models import (
    flops_per_token,
    load_model,
    load_tokenizer,
    num_parameters,
    save_model,
)
from components.lib.shape import Shape


def tiny(**changes):
    sizes = {"width": 48, "num_layers": 2, "num_heads": 4, "num_key_value_heads": 2}
    shape = Shape(**{**sizes, "max_length": 32, **changes})
    return build_model(shape, 512, SpecialIds(end_of_text=0, padding=1), seed=0)


@pytest.fixture
def folder(vocabulary, tmp_path):
    save_model(tiny(), load_tokenizer(vocabulary.path), tmp_path / "model")
    return tmp_path / "model"


def test_projections_into_the_residual_stream_start_at_zero_and_the_others_do_not():
    model = tiny()
    for name, parameter in model.state_dict().items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        else:
            assert float(parameter.std()) == pytest.approx(0.02, rel=0.15), name
            assert abs(float(parameter.mean())) < 0.002, name


def test_so_every_block_begins_as_the_identity():
    model, deep = tiny(), tiny(num_layers=6)
    deep.model.embed_tokens.weight.data = model.model.embed_tokens.weight.data
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(model(input_ids=ids).logits, deep(input_ids=ids).logits)


def test_the_shapes_and_the_number_of_weights_are_those_of_the_paper():
    model = tiny()
    feed_forward = 128  # 8/3 x 48, up to a multiple of 64
    attention = 48 * 48 + 2 * 48 * 24 + 48 * 48
    block = attention + 3 * 48 * feed_forward + 2 * 48
    assert num_parameters(model) == 512 * 48 + 2 * block + 48
    assert model.config.intermediate_size == feed_forward
    assert tiny(width=192, num_heads=4).config.intermediate_size == 512, "an exact multiple grew"


def test_the_flops_of_a_token_are_those_of_its_matrix_products():
    """Counted by torch on the forward pass; training takes three times as many."""
    from torch.utils.flop_counter import FlopCounterMode

    model, length = tiny(), 32
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.zeros((1, length), dtype=torch.long))
    counted = 3 * counter.get_total_flops() / length
    norms = sum(p.numel() for n, p in model.named_parameters() if "norm" in n)
    assert flops_per_token(model, length) - 6 * norms == pytest.approx(counted, rel=1e-6)


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
