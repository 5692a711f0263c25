"""Texts that were set aside: every target once, in windows, and bits per byte of text."""

import math

import numpy as np
import pytest
import torch

from components.lib.inference.texts import TextScorer
from components.lib.inference.torch_model import TorchModel
from components.lib.models.folders import load_model, load_tokenizer

TEXT = "The state of the Union is strong, and the state of the library is as well. " * 6


@pytest.fixture(scope="module")
def scorer(instruct) -> TextScorer:
    return TextScorer(instruct.path, load_tokenizer(instruct.path), window=32)


@torch.no_grad()
def test_a_text_is_scored_window_by_window(instruct, scorer):
    model, tokenizer = load_model(instruct.path), load_tokenizer(instruct.path)
    ids = tokenizer.encode(TEXT, add_special_tokens=False)
    assert len(ids) % 32 > 1, "the last window is shorter"
    nats, targets = 0.0, []
    for start in range(0, len(ids), 32):
        window = torch.tensor([ids[start : start + 32]])
        logits = model(input_ids=window).logits[0, :-1].log_softmax(-1)
        nats -= float(logits.gather(1, window[0, 1:, None]).sum())
        targets += window[0, 1:].tolist()
    found = scorer.score(TorchModel(model), TEXT, 100_000)
    assert found.num_tokens == len(targets)
    assert found.perplexity == pytest.approx(math.exp(nats / len(targets)), rel=1e-3)
    num_bytes = len(tokenizer.decode(targets).encode())
    assert found.bits_per_byte == pytest.approx(nats / math.log(2) / num_bytes, rel=1e-3)


def test_only_so_many_tokens_are_read_and_they_are_the_first(instruct, scorer):
    model = TorchModel(load_model(instruct.path))
    ids = load_tokenizer(instruct.path).encode(TEXT, add_special_tokens=False)
    nats = model.negative_log_likelihood(np.array([ids[:20]]))
    found = scorer.score(model, TEXT, 20)
    assert found.num_tokens == 19
    assert found.perplexity == pytest.approx(math.exp(float(nats.mean())), rel=1e-4)


def test_a_text_without_a_target_is_refused(instruct, scorer):
    with pytest.raises(ValueError, match="1 tokens is too short"):
        scorer.score(TorchModel(load_model(instruct.path)), "a", 10)
