"""Quantize: in 8 or 4 bits, smaller on disk, and measured on the export itself."""

import numpy as np
import pytest
import torch

from components.compress.export import Scheme, export_onnx
from components.compress.graph_bits import check_coverage
from components.compress.quantize import Quantize
from components.evals.probe import open_model
from components.lib.inference.held_out import HeldOut
from components.lib.inference.onnx_model import OnnxModel
from components.lib.inference.torch_model import TorchModel
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import load_tokenizer, save_model
from components.lib.models.shape import Shape

pytest.importorskip("onnxruntime_genai")


@pytest.fixture(scope="module")
def small(checkpoint, tmp_path_factory):
    return Quantize().run(checkpoint, tmp_path_factory.mktemp("small"))


def test_the_export_is_much_smaller_and_the_sizes_are_those_of_the_files(small, checkpoint):
    files = list(small.path.glob("*.onnx*"))
    assert small.bytes_on_disk == sum(file.stat().st_size for file in files)
    assert small.original_bytes_on_disk == checkpoint.bytes_on_disk
    assert small.bytes_on_disk < 0.6 * checkpoint.bytes_on_disk  # at this size the graph counts
    assert small.num_parameters == checkpoint.num_parameters


def test_both_models_were_timed(small):
    assert small.decode_tokens_per_second > 0
    assert small.original_decode_tokens_per_second > 0


def test_it_is_opened_by_its_kind_and_reads_text_as_well_as_the_original(small, checkpoint, shards):
    held_out = HeldOut(shards, "test", 32, 8)
    exported = open_model(small)
    assert isinstance(exported, OnnxModel)
    before = held_out.bits_per_byte(open_model(checkpoint))
    assert held_out.bits_per_byte(exported) == pytest.approx(before, rel=0.01)


@pytest.mark.parametrize("rounding", ["nearest", "k_quant"])
def test_in_4_bits_it_is_smaller_still_and_every_matrix_is_said(
    rounding, small, checkpoint, shards, tmp_path
):
    made = Quantize(bits=4, rounding=rounding).run(checkpoint, tmp_path)
    heads = {name for name in made.bits if name.startswith("/lm_head/")}
    assert {made.bits[name] for name in heads} == {8}
    assert {bits for name, bits in made.bits.items() if name not in heads} == {4}
    assert len(made.bits) == len(small.bits)
    assert set(small.bits.values()) == {8}
    assert made.bytes_on_disk < 0.9 * small.bytes_on_disk
    held_out = HeldOut(shards, "test", 32, 8)
    before = held_out.bits_per_byte(open_model(checkpoint))
    assert held_out.bits_per_byte(open_model(made)) == pytest.approx(before, rel=0.05)


@pytest.mark.parametrize("block_size", [32, 64, 128])
def test_a_width_that_no_block_divides_is_computed_rightly_in_4_bits(
    block_size, vocabulary, tmp_path
):
    shape = Shape(width=192, num_layers=1, num_heads=4, num_key_value_heads=2, max_length=64)
    model = build_model(shape, 512, SpecialIds.of(load_tokenizer(vocabulary.path)), seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name:
                parameter.normal_(std=0.05)
    save_model(model, vocabulary.path, tmp_path / "model")
    export_onnx(tmp_path / "model", tmp_path / "onnx", Scheme(4, block_size))
    ids = np.random.default_rng(0).integers(512, size=(2, 40))
    before = TorchModel(model.eval()).negative_log_likelihood(ids)
    after = OnnxModel(tmp_path / "onnx", num_threads=1).negative_log_likelihood(ids)
    assert np.abs(after - before).mean() < 0.05 * before.mean()


def test_a_matrix_that_is_left_out_is_named():
    whole = {"/model/layers.0/mlp/up_proj/MatMul_Q4": 4, "/lm_head/MatMul_Q8": 8}
    check_coverage(whole, 4)
    with pytest.raises(ValueError, match=r"up_proj/MatMul \(32\)"):
        check_coverage({**whole, "/model/layers.1/mlp/up_proj/MatMul": 32}, 4)
    with pytest.raises(ValueError, match="there is none"):
        check_coverage({}, 8)
