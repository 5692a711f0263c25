"""Quantize: smaller on disk, and measured on the export itself."""

import pytest

from components.compress.quantize import Quantize
from components.evals.probe import open_model
from components.lib.inference.held_out import HeldOut
from components.lib.inference.onnx_model import OnnxModel

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
