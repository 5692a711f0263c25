"""AWQ: the same model, whose rounding costs less."""

import numpy as np
import pytest
import torch

from components.compress.awq import AWQ
from components.compress.calibration.grid import to_nearest
from components.compress.calibration.inputs import CalibrationInputs
from components.compress.calibration.walk import linears
from components.lib.examples.shards import Sequences
from components.lib.inference.torch_model import TorchModel
from components.lib.models.folders import load_model


@pytest.fixture(scope="module")
def scaled(decoder, shards, tmp_path_factory):
    inputs = CalibrationInputs(model=decoder, shards=shards)
    component = AWQ(num_sequences=24, sequence_length=48)
    return component.run(inputs, tmp_path_factory.mktemp("awq"))


def rounded(folder) -> TorchModel:
    """The model in a folder with every linear of its layers rounded to nearest."""
    model = load_model(folder)
    with torch.no_grad():
        for linear in linears(model.model.layers).values():
            linear.weight.copy_(to_nearest(linear.weight, 32))
    return TorchModel(model)


def test_the_model_computes_what_it_did(scaled, decoder):
    ids = np.random.default_rng(0).integers(512, size=(2, 40))
    with torch.no_grad():  # in float32, which a TorchModel may not be
        before, after = (
            load_model(each.path)(input_ids=torch.from_numpy(ids)).logits
            for each in (decoder, scaled)
        )
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    assert scaled.num_parameters == decoder.num_parameters


def test_rounding_to_nearest_costs_less_than_before(scaled, decoder, shards):
    ids = Sequences(shards.path / "test", 48).spread(16)
    original = TorchModel(load_model(decoder.path)).negative_log_likelihood(ids)
    plain, helped = (
        np.abs(rounded(each.path).negative_log_likelihood(ids) - original).mean()
        for each in (decoder, scaled)
    )
    assert helped < plain
