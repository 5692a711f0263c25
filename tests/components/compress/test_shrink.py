"""Shrink: a smaller dense model that computes what the larger one does without those parts."""

import json
from pathlib import Path

import pytest
import torch

from components.compress.pruning.calibration import Calibration
from components.compress.pruning.walk import Walk
from components.compress.shrink import SHRUNK, Shrink, ShrinkInputs
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import describe, load_model, save_model
from components.lib.models.shape import Shape
from components.lib.models.sparsity import blocks_of, prunable

TEXT = Calibration(num_sequences=8, sequence_length=64)
ROW = torch.arange(3, 60)[None]


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


@pytest.fixture(scope="module")
def wide(checkpoint, tmp_path_factory):
    """A function that makes a decoder with several groups of heads, and weights that matter."""

    def build(architecture: str = "llama", **changes):
        sizes = {"width": 64, "num_layers": 4, "num_heads": 4, "num_key_value_heads": 2}
        shape = Shape(architecture=architecture, max_length=128, **{**sizes, **changes})
        model, random = build_model(shape, 512, SpecialIds(0, 1), 0), torch.Generator()
        for matrix in prunable(model):
            drawn = torch.randn(matrix.weight.shape, generator=random.manual_seed(matrix.block))
            matrix.weight.copy_(drawn * 0.1)
        folder = tmp_path_factory.mktemp(architecture)
        save_model(model, checkpoint.path, folder)
        return describe(folder, 64)

    return build


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ROW, use_cache=False).logits


def told(folder: Path) -> dict:
    return json.loads((folder / SHRUNK).read_text())


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "sliding"])
def test_its_logits_are_those_of_the_larger_model_whose_parts_are_masked(
    wide, shards, tmp_path, architecture
):
    model = wide(architecture)
    component = Shrink(layers=0.25, heads=0.5, neurons=0.25, refit=False, calibration=TEXT)
    after = component.run(ShrinkInputs(model=model, shards=shards), tmp_path)
    small, large, kept = load_model(after.path), load_model(model.path), told(tmp_path)
    assert type(small) is type(large)
    chosen = [blocks_of(large)[layer] for layer in kept["layers"]]
    with torch.no_grad():
        for block, groups, neurons in zip(
            chosen, kept["key_value_heads"], kept["neurons"], strict=True
        ):
            heads = block.self_attn.o_proj.weight.view(64, 2, -1)
            heads[:, [g for g in range(2) if g not in groups]] = 0.0
            network = block.mlp.down_proj.weight
            network[:, [n for n in range(network.shape[1]) if n not in neurons]] = 0.0
    for layer, block in enumerate(blocks_of(large)):
        if layer not in kept["layers"]:
            block.forward = lambda hidden_states, *args, **kwargs: hidden_states
    assert torch.allclose(logits(small), logits(large), atol=1e-4)
    assert after.num_parameters < 0.75 * model.num_parameters
    config = small.config
    assert (config.num_hidden_layers, config.num_key_value_heads, config.head_dim) == (3, 1, 16)
    assert config.num_attention_heads == 2


def test_neurons_that_say_nothing_go_and_cost_nothing(wide, shards, tmp_path):
    model = wide()
    large = load_model(model.path)
    idle = {}
    with torch.no_grad():
        for number, block in enumerate(blocks_of(large)):
            width = block.mlp.down_proj.in_features
            idle[number] = set(range(number % 3, width, 3))
            block.mlp.down_proj.weight[:, sorted(idle[number])] = 0.0
    folder = made(tmp_path, "large")
    save_model(large, model.path, folder)
    inputs = ShrinkInputs(model=describe(folder, 64), shards=shards)
    after = Shrink(neurons=0.25, refit=False, calibration=TEXT).run(inputs, made(tmp_path, "out"))
    for number, neurons in enumerate(told(after.path)["neurons"]):
        width = blocks_of(large)[number].mlp.down_proj.in_features
        assert set(range(width)) - set(neurons) <= idle[number]
    assert torch.allclose(logits(load_model(after.path)), logits(large), atol=1e-4)


def test_a_layer_that_passes_on_what_it_gets_is_the_one_that_goes(wide, shards, tmp_path):
    model = wide()
    large = load_model(model.path)
    with torch.no_grad():
        blocks_of(large)[2].self_attn.o_proj.weight.zero_()
        blocks_of(large)[2].mlp.down_proj.weight.zero_()
    folder = made(tmp_path, "large")
    save_model(large, model.path, folder)
    inputs = ShrinkInputs(model=describe(folder, 64), shards=shards)
    after = Shrink(layers=0.25, calibration=TEXT).run(inputs, made(tmp_path, "out"))
    assert told(after.path)["layers"] == [0, 1, 3]
    assert torch.allclose(logits(load_model(after.path)), logits(large), atol=1e-4)


def test_what_reads_the_rest_is_fitted_and_errs_less(wide, shards, tmp_path):
    model = wide()
    inputs = ShrinkInputs(model=model, shards=shards)
    ids = TEXT.read(shards, model)
    large = load_model(model.path)
    errors = {}
    for refit in (False, True):
        component = Shrink(neurons=0.5, refit=refit, calibration=TEXT)
        after = component.run(inputs, made(tmp_path, str(refit)))
        outputs = []
        for one in (large, load_model(after.path)):
            with Walk(one) as walk:
                outputs.append(torch.cat(walk.through(0, ids, walk.embed(ids))))
        errors[refit] = float((outputs[0] - outputs[1]).square().sum())
    assert errors[True] < 0.8 * errors[False]


def test_the_fit_is_the_least_squares_solution():
    from components.compress.pruning.structure import refit

    random = torch.Generator().manual_seed(0)
    texts = torch.randn(500, 12, generator=random) @ torch.randn(12, 12, generator=random)
    weight, kept = torch.randn(5, 12, generator=random), [0, 2, 3, 7, 8, 11]
    found = refit(weight, texts.T @ texts, kept)
    damp = 0.01 * (texts**2).sum(0).mean()
    rows = torch.cat([texts[:, kept], damp.sqrt() * torch.eye(6)]).double()
    wanted = torch.cat([texts @ weight.T, damp.sqrt() * weight[:, kept].T]).double()
    expected = torch.linalg.lstsq(rows, wanted).solution.T
    assert torch.allclose(found[:, kept].double(), expected, atol=1e-3)
    assert int((found == 0).sum()) == 5 * 6


def test_the_cost_of_a_group_is_what_the_outputs_lose():
    from components.compress.pruning.structure import costs

    random = torch.Generator().manual_seed(0)
    texts = torch.randn(300, 8, generator=random) @ torch.randn(8, 8, generator=random)
    weight, moments = torch.randn(5, 8, generator=random), texts.T @ texts
    plain, fitted = (costs(weight, moments, 2, refits=refits) for refits in (False, True))
    damped = moments.double() + 0.01 * moments.diagonal().mean() * torch.eye(8)
    for group in range(4):
        rest = [i for i in range(8) if i // 2 != group]
        lost = texts[:, 2 * group : 2 * group + 2] @ weight[:, 2 * group : 2 * group + 2].T
        assert float(plain[group]) == pytest.approx(float(lost.square().sum()), rel=1e-4)
        best = torch.linalg.solve(damped[rest][:, rest], damped[rest] @ weight.double().T).T
        gap = weight.double().clone()
        gap[:, rest] -= best
        assert float(fitted[group]) == pytest.approx(float(((gap @ damped) * gap).sum()), rel=1e-4)


def test_the_same_config_and_inputs_give_the_same_files(wide, shards, tmp_path):
    inputs = ShrinkInputs(model=wide(), shards=shards)
    component = Shrink(layers=0.25, heads=0.5, neurons=0.25, calibration=TEXT)
    folders = [component.run(inputs, made(tmp_path, name)).path for name in ("one", "other")]
    for name in ("model.safetensors", "config.json", SHRUNK):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_layers_go_from_a_model_that_is_built_otherwise_and_heads_are_refused(
    wide, shards, tmp_path
):
    inputs = ShrinkInputs(model=wide("gpt2", num_key_value_heads=4), shards=shards)
    after = Shrink(layers=0.5, calibration=TEXT).run(inputs, made(tmp_path, "out"))
    assert load_model(after.path).config.n_layer == 2
    with pytest.raises(ValueError, match=r"those of GPT2LMHeadModel are not\. Cut layers alone"):
        Shrink(heads=0.5, calibration=TEXT).run(inputs, made(tmp_path, "refused"))


def test_it_is_exported_to_int8_and_the_export_agrees(wide, shards, tmp_path):
    pytest.importorskip("onnxruntime_genai")
    from components.compress.quantize import Quantize

    component = Shrink(layers=0.25, heads=0.5, neurons=0.25, calibration=TEXT)
    after = component.run(ShrinkInputs(model=wide(), shards=shards), made(tmp_path, "small"))
    exported = Quantize().run(after, made(tmp_path, "export"))
    assert exported.num_parameters == after.num_parameters


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Nothing would go: set layers, heads or neurons"),
        ({"layers": 1.0}, "layers\n.*less than 1"),
        ({"neurons": -0.1}, "neurons\n.*greater than or equal to 0"),
    ],
)
def test_a_config_that_means_nothing_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Shrink(**changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"heads": 0.2}, r"heads=0.2 of 2 heads is 0: .* Take heads between 0.50 and 0.50"),
        ({"layers": 0.9}, r"layers=0.9 of 4 layers is 4: at least one must go and one must stay"),
    ],
)
def test_no_whole_part_or_all_of_them_are_refused(wide, shards, tmp_path, changes, said):
    inputs = ShrinkInputs(model=wide(), shards=shards)
    with pytest.raises(ValueError, match=said):
        Shrink(calibration=TEXT, **changes).run(inputs, tmp_path)
