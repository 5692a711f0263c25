"""The output head computes the positions that have a loss, and it is the loss of all logits."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PhiConfig,
    PhiForCausalLM,
)

from components.lib.examples.batches import IGNORED, Batch
from components.lib.objectives import next_token
from components.lib.objectives.next_token import NextToken, narrowed, predict

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


class Untold(LlamaForCausalLM):
    """A model that computes all logits, whatever is wanted."""

    def forward(self, input_ids, use_cache=None):
        return super().forward(input_ids=input_ids, use_cache=use_cache)


MODELS = {
    "tied": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "untied": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=False)),
    "softcapped": lambda: Gemma2ForCausalLM(
        Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=0.5)
    ),
    "scaled": lambda: CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.25)),
    "divided": lambda: GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=3.0)),
    "biased": lambda: PhiForCausalLM(PhiConfig(**SIZES)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4)),
    "untold": lambda: Untold(LlamaConfig(**SIZES)),
}


@pytest.fixture
def batch() -> Batch:
    random = np.random.default_rng(0)
    targets = random.integers(3, 50, (2, 12))
    targets[0, :7] = targets[1, 2:10] = IGNORED
    return Batch(random.integers(3, 50, (2, 12)), targets)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_loss_and_gradient_are_those_of_all_logits(monkeypatch, kind, batch):
    monkeypatch.setattr(next_token, "autocast", nullcontext)
    torch.manual_seed(0)
    model = MODELS[kind]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    rows = []
    head = model.get_output_embeddings()
    watch = head.register_forward_hook(lambda _, given, made: rows.append(made.numel() // 50))
    found = NextToken()(model, batch)["cross_entropy"]
    watch.remove()
    logits = model(input_ids=torch.from_numpy(batch.inputs), use_cache=False).logits
    targets = torch.from_numpy(batch.targets).flatten()
    expected = F.cross_entropy(logits.flatten(0, 1), targets, ignore_index=IGNORED, reduction="sum")
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        gradients(model, found), gradients(model, expected), atol=1e-5, rtol=1e-4
    )
    assert rows == [24 if kind == "untold" else batch.num_targets()]


def test_a_part_without_targets_has_a_loss_of_zero_and_a_gradient(batch):
    model = MODELS["tied"]()
    nothing = Batch(batch.inputs, np.full_like(batch.targets, IGNORED), lengths=np.array([12, 12]))
    loss = NextToken()(model, nothing)["cross_entropy"]
    assert loss.item() == 0
    assert not gradients(model, loss).any()


def test_compiled_a_model_meets_one_shape(monkeypatch, batch):
    monkeypatch.setenv("BLOOMERY_COMPILE", "true")
    named = Batch(batch.inputs, batch.targets, lengths=np.array([5, 6]))
    assert narrowed(named).inputs.shape == (2, 12)
    output, targets = predict(MODELS["tied"](), named)
    assert output.logits.shape == (24, 50)
    assert targets.shape == (24,)
