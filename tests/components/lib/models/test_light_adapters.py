"""Light adapters are PEFT's, value and gradient, over a base of half the size."""

import pytest
import torch

from components.lib.device import has_bfloat16
from components.lib.models.adapters import adapt
from components.lib.models.light_adapters import lighten
from components.lib.models.lora import LoRA
from tests.components.lib.models.test_adapters import MODELS, TEXTS
from tests.components.lib.models.test_blocked_attention import distance

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available() or not has_bfloat16(), reason="autocast computes otherwise here"
)


def adapted(kind, **options):
    torch.manual_seed(0)
    model = MODELS[kind]()
    adapt(model, LoRA(rank=4, **options), seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:  # zero, with which there would be no gradient of the other one
                parameter.copy_(0.1 * torch.randn_like(parameter))
    return model


def computed(model):
    """Return logits and the gradient of the adapter."""
    model.zero_grad()
    logits = model(input_ids=TEXTS, use_cache=False).logits
    torch.manual_seed(2)
    (logits * torch.randn(logits.shape)).sum().backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return logits.detach().float(), torch.cat(gradients)


@pytest.mark.parametrize("kind", ["llama", "tied"])
@pytest.mark.parametrize("method", ["lora", "rslora"])
def test_values_and_gradients_are_as_near_to_float32_as_pefts(kind, method):
    model = adapted(kind, method=method)
    exact = computed(model)
    with torch.autocast("cpu", torch.bfloat16):
        theirs = computed(model)
        assert lighten(model) == 14
        ours = computed(model)
    for part in (0, 1):
        assert distance(theirs[part], exact[part]) > 1e-4, "not computed in bfloat16"
        assert distance(ours[part], exact[part]) < 1.3 * distance(theirs[part], exact[part])
    assert distance(computed(model)[0], exact[0]) < 2e-2, "without autocast"


def test_the_base_takes_half_and_nothing_else_is_rounded():
    model = adapted("tied")
    before = {name: (p.dtype, p.nbytes) for name, p in model.named_parameters()}
    lighten(model)
    for name, parameter in model.named_parameters():
        kind, size = before[name]
        is_base = "base_layer" in name
        assert parameter.nbytes == (size // 2 if is_base else size), name
        assert parameter.dtype == (torch.bfloat16 if is_base else kind), name
        assert parameter.requires_grad == ("lora_" in name)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


@pytest.mark.parametrize(
    ("kind", "options"),
    [("llama", {"method": "dora"}), ("llama", {"dropout": 0.5}), ("gpt2", {})],
)
def test_what_is_no_plain_adapter_is_left_to_peft(kind, options):
    model = adapted(kind, **options)
    assert lighten(model) == 0
    assert {p.dtype for p in model.parameters()} == {torch.float32}
