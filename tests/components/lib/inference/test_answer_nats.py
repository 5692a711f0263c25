"""The nats of held-out answers are those of each dialogue alone, whatever it is read with."""

import numpy as np
import pytest
import torch

from components.lib.examples.batches import IGNORED
from components.lib.examples.dialogues import Dialogues
from components.lib.inference import answer_nats as module
from components.lib.inference.answer_nats import answer_nats
from components.lib.inference.torch_model import TorchModel
from components.lib.models.folders import load_model, load_tokenizer
from components.lib.tasks.microtasks import generate


@torch.no_grad()
def by_hand(model, dialogues: Dialogues) -> float:
    """Return the mean over the answers' tokens, one dialogue after the other."""
    nats: list[float] = []
    for inputs, targets in dialogues.stretches(range(len(dialogues))):
        logits = model(input_ids=torch.from_numpy(inputs[None])).logits[0].log_softmax(-1)
        places = np.flatnonzero(targets != IGNORED)
        nats += (-logits[places, targets[places]]).tolist()
    return sum(nats) / len(nats)


@pytest.mark.parametrize("tokens_at_once", [1, 200, 8192])
def test_it_is_the_mean_over_tokens_however_many_are_read_at_once(
    instruct, monkeypatch, tokens_at_once
):
    monkeypatch.setattr(module, "_TOKENS_AT_ONCE", tokens_at_once)
    tokenizer, model = load_tokenizer(instruct.path), load_model(instruct.path)
    rows = [task.dialogue() for task in generate(seed=5, num_instances=24)]
    dialogues = Dialogues(tokenizer, rows, 1)
    found = answer_nats(TorchModel(model), dialogues)
    assert found == pytest.approx(by_hand(model, dialogues), rel=1e-3)


def test_without_a_dialogue_it_says_how_to_hold_some_out(instruct):
    dialogues = Dialogues(load_tokenizer(instruct.path), [], 1)
    with pytest.raises(ValueError, match="raise validation_share"):
        answer_nats(TorchModel(load_model(instruct.path)), dialogues)
