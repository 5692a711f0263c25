"""Fidelity: a sound export keeps everything, a broken one is told by every number."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from components.compress.fidelity import Fidelity, FidelityInputs
from components.compress.quantize import Quantize
from components.core.artifacts.reports import HeldOutText

pytest.importorskip("onnxruntime_genai")

_FIDELITY = Fidelity(
    held_out=HeldOutText(sequence_length=64, num_sequences=8), num_items=16, num_prompts=8
)


@pytest.fixture(scope="module")
def inputs(instruct, shards, evaluation):
    def of(model) -> FidelityInputs:
        return FidelityInputs(original=instruct, model=model, shards=shards, evaluation=evaluation)

    return of


@pytest.fixture(scope="module")
def small(instruct, tmp_path_factory):
    return Quantize().run(instruct, tmp_path_factory.mktemp("small"))


def test_int8_stands_for_its_original(inputs, small, tmp_path) -> None:
    found = _FIDELITY.run(inputs(small), tmp_path)
    assert 0 < found.divergence < 0.005
    assert found.flipped < 0.1
    assert abs(found.bits_per_byte_increase) < 0.01
    assert found.margin_kept == pytest.approx(1, abs=0.1)
    assert found.decisions_flipped < 0.2
    assert found.coverage == 1.0
    assert found.bytes_on_disk == small.bytes_on_disk
    assert min(found.decode_tokens_per_second, found.first_token_seconds) > 0
    assert min(found.joules_per_token, found.original_joules_per_token) > 0
    told = json.loads((tmp_path / "report" / "fidelity.json").read_text())
    assert told["divergence"] == found.divergence
    assert told["covered"]["whole"] == []


def test_a_model_stands_for_itself(inputs, instruct, tmp_path) -> None:
    found = _FIDELITY.run(inputs(instruct), tmp_path)
    assert found.divergence == pytest.approx(0, abs=1e-6)
    assert (found.flipped, found.margin_kept, found.decisions_flipped) == (0, 1, 0)
    assert found.coverage < 1e-4
    assert found.refusals_kept in (None, 1)


def test_a_planted_broken_model_is_told(inputs, instruct, tmp_path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(instruct.path, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"] *= -4
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    broken = instruct.model_copy(update={"path": folder})
    (tmp_path / "out").mkdir()
    found = _FIDELITY.run(inputs(broken), tmp_path / "out")
    assert found.divergence > 0.1
    assert found.flipped > 0.1
    assert found.bits_per_byte_increase > 0.02
