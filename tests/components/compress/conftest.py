"""A decoder whose layers count, and text for it."""

import pytest
import torch

from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import describe, load_tokenizer, save_model
from components.lib.models.shape import Shape


@pytest.fixture(scope="session", params=["llama", "qwen3"])
def decoder(request, vocabulary, tmp_path_factory):
    """A checkpoint with some inputs far larger than others, as trained models have them."""
    folder = tmp_path_factory.mktemp(request.param)
    shape = Shape(
        architecture=request.param,
        width=64,
        num_layers=2,
        num_heads=4,
        num_key_value_heads=2,
        max_length=64,
    )
    special = SpecialIds.of(load_tokenizer(vocabulary.path))
    model = build_model(shape, vocabulary.vocab_size, special, seed=0)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name:
                parameter.normal_(std=0.12)
            elif parameter.dim() == 1:
                parameter.mul_(torch.exp(torch.randn_like(parameter)))
    save_model(model, vocabulary.path, folder)
    return describe(folder, 64)
