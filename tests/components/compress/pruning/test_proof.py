"""A model that lost too much does not leave."""

import pytest
import torch

from components.compress.pruning.proof import require_output
from components.lib.models.folders import load_model

ROW = torch.arange(2, 40)[None]


def test_a_model_that_says_the_same_after_every_text_is_refused(checkpoint):
    model = load_model(checkpoint.path)
    require_output(model, ROW, "sparsity=0.5")
    with torch.no_grad():
        model.model.norm.weight.zero_()
    with pytest.raises(ValueError, match=r"With sparsity=0\.9 the model says the same"):
        require_output(model, ROW, "sparsity=0.9")


def test_logits_that_are_no_numbers_are_refused(checkpoint):
    model = load_model(checkpoint.path)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match="logits that are no numbers"):
        require_output(model, ROW, "sparsity=0.5")
