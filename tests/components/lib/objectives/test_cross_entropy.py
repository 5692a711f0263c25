"""Cross-entropy by parts is torch's, value and gradient."""

import pytest
import torch
from torch.nn import functional as F

from components.lib.examples.batches import IGNORED
from components.lib.objectives import cross_entropy
from components.lib.objectives.cross_entropy import summed_nats


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("at_once", [1, 64, 1 << 20])
@pytest.mark.parametrize("number", [0, 1, 23])
def test_value_and_gradient_are_torchs(monkeypatch, kind, at_once, number):
    monkeypatch.setattr(cross_entropy, "_NUMBERS_AT_ONCE", at_once)
    torch.manual_seed(0)
    logits = (5 * torch.randn(number, 17)).to(kind)
    targets = torch.randint(17, (number,))
    targets[3:9] = IGNORED
    one, other = (logits.clone().requires_grad_() for _ in range(2))
    found = summed_nats(one, targets)
    expected = F.cross_entropy(other.float(), targets, ignore_index=IGNORED, reduction="sum")
    (0.3 * found).backward()
    (0.3 * expected).backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(one.grad, other.grad)
    assert not number or one.grad.any()
