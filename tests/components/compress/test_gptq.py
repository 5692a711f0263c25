"""GPTQ: less error on what the model reads, and an export of these very integers."""

import numpy as np
import pytest
import torch

from components.compress.calibration.grid import to_nearest
from components.compress.calibration.inputs import CalibrationInputs
from components.compress.calibration.walk import walk
from components.compress.export import Scheme, export_onnx
from components.compress.gptq import GPTQ, _floats, solve
from components.compress.rounding import read_rounding
from components.lib.inference.onnx_model import OnnxModel
from components.lib.inference.torch_model import TorchModel
from components.lib.models.folders import load_model

pytest.importorskip("onnxruntime_genai")


def correlated(columns: int) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(512, columns) @ torch.randn(columns, columns) / columns**0.5


def test_the_output_is_nearer_than_by_rounding_to_nearest():
    inputs, weight = correlated(96), torch.randn(40, 96)
    integers, scales = solve(weight, inputs.T @ inputs / len(inputs), damping=0.01)
    assert integers.min() >= -8
    assert integers.max() <= 7
    assert scales.shape == (40, 3)
    errors = [
        (inputs @ (each - weight).T).square().mean().item()
        for each in (_floats(integers, scales), to_nearest(weight, 32))
    ]
    assert errors[0] < 0.7 * errors[1]


def test_inputs_that_do_not_correlate_leave_each_weight_at_its_nearest():
    weight = torch.randn(8, 64)
    integers, scales = solve(weight, torch.eye(64), damping=0.01)
    blocks, scale = weight.reshape(8, 2, 32), scales[..., None]
    nearest = (blocks / scale).round().clamp(-8, 7).reshape(8, 64)
    assert torch.equal(integers.float(), nearest)


def test_columns_that_no_block_divides_are_refused():
    with pytest.raises(ValueError, match="has 40 columns, and 32 share a scale"):
        solve(torch.randn(4, 40), torch.eye(40), damping=0.01)


def test_what_a_linear_meets_is_what_the_model_gives_it(decoder):
    model = load_model(decoder.path)
    ids = torch.arange(20, 52).reshape(2, 16)
    met = []
    hook = model.model.layers[1].mlp.down_proj.register_forward_pre_hook(
        lambda _, given: met.append(given[0])
    )
    with torch.no_grad():
        model(input_ids=ids, use_cache=False)
    hook.remove()
    rows = met[0].reshape(-1, met[0].shape[-1])
    *_, last = walk(model, ids)
    torch.testing.assert_close(
        last.products["mlp.down_proj"], rows.T @ rows / 32, rtol=1e-4, atol=1e-5
    )


def test_the_export_has_these_integers_and_computes_the_rounded_model(decoder, shards, tmp_path):
    inputs = CalibrationInputs(model=decoder, shards=shards)
    made = GPTQ(num_sequences=24, sequence_length=48).run(inputs, tmp_path / "gptq")
    rounded = read_rounding(made.path)
    assert rounded is not None
    assert len(rounded.integers) == 14
    bits = export_onnx(made.path, tmp_path / "onnx", Scheme(bits=4))
    assert set(bits.values()) == {4, 8}
    exported = OnnxModel(tmp_path / "onnx", num_threads=1)
    ids = np.random.default_rng(0).integers(512, size=(4, 48))
    floats = TorchModel(load_model(made.path)).negative_log_likelihood(ids)
    nats = exported.negative_log_likelihood(ids)
    # what is left are activations in 8 bits, and the head
    assert np.abs(nats - floats).mean() < 0.02 * floats.mean()
    before = TorchModel(load_model(decoder.path)).negative_log_likelihood(ids)
    assert np.abs(floats - before).mean() > 2 * np.abs(nats - floats).mean()


def test_an_export_in_other_bits_or_blocks_is_refused(decoder, shards, tmp_path):
    inputs = CalibrationInputs(model=decoder, shards=shards)
    made = GPTQ(num_sequences=24, sequence_length=48).run(inputs, tmp_path / "gptq")
    for scheme in (Scheme(bits=8), Scheme(bits=4, block_size=64)):
        with pytest.raises(ValueError, match="export with bits=4 and block_size=32"):
            export_onnx(made.path, tmp_path / "onnx", scheme)


def test_too_little_text_and_foreign_text_are_refused(decoder, shards, tmp_path):
    inputs = CalibrationInputs(model=decoder, shards=shards)
    with pytest.raises(ValueError, match="has 64 tokens, and fewer than 1024 say too little"):
        GPTQ(num_sequences=4, sequence_length=16).run(inputs, tmp_path / "out")
    (tmp_path / "train").mkdir()
    empty = shards.model_copy(update={"path": tmp_path})
    with pytest.raises(ValueError, match="has 0 tokens, fewer than one sequence"):
        GPTQ().run(CalibrationInputs(model=decoder, shards=empty), tmp_path / "out")
    np.save(tmp_path / "train" / "shard_00000.npy", np.full(4000, 900, np.uint16))
    with pytest.raises(ValueError, match="has the id 900, and the model 512 rows"):
        GPTQ().run(CalibrationInputs(model=decoder, shards=empty), tmp_path / "out")
