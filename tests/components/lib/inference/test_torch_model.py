"""Scores and answers of a transformers model, against its own logits taken one by one."""

import numpy as np
import pytest
import torch

from components.lib.device import has_bfloat16
from components.lib.inference.torch_model import TorchModel
from components.lib.models.folders import load_model, load_tokenizer
from components.lib.tasks.microtasks import read_microtasks
from components.lib.text.chat import encode_prompt

ROUNDING = 3e-2 if has_bfloat16() else 1e-4


@pytest.fixture(scope="module")
def network(checkpoint):
    return load_model(checkpoint.path)


@pytest.fixture(scope="module")
def model(network):
    return TorchModel(network)


@torch.no_grad()
def greedy(network, prompt: list[int], max_new_tokens: int) -> list[int]:
    """Continue one prompt by the definition: the likeliest token, each time from the beginning."""
    ids = list(prompt)
    while len(ids) < len(prompt) + max_new_tokens:
        best = int(network(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if best == network.config.eos_token_id:
            break
        ids.append(best)
    return ids[len(prompt) :]


def test_the_nats_of_a_target_are_its_negative_log_softmax(model, network, shards):
    ids = np.load(shards.path / "test" / "shard_00000.npy")[:66].astype(np.int64).reshape(2, 33)
    nats = model.negative_log_likelihood(ids)
    assert nats.shape == (2, 32)
    assert nats.dtype == np.float32
    with torch.no_grad():
        logits = network(input_ids=torch.from_numpy(ids[:, :-1])).logits.double().numpy()
    sums = np.log(np.exp(logits).sum(-1))
    expected = sums - np.take_along_axis(logits, ids[:, 1:, None], axis=2)[:, :, 0]
    np.testing.assert_allclose(nats, expected, rtol=ROUNDING, atol=ROUNDING)


def test_a_batch_of_prompts_of_all_lengths_is_answered_as_one_by_one(model, network):
    random = np.random.default_rng(0)
    prompts = [random.integers(4, 500, size=n).tolist() for n in (9, 1, 30, 4, 4, 17, 2, 60)]
    together = model.generate(prompts, 12)
    assert together == [greedy(network, prompt, 12) for prompt in prompts]
    assert len(set(map(tuple, together))) > 1


def test_more_prompts_than_one_batch_holds_come_back_in_their_order(model):
    prompts = [[4 + i % 300] * (1 + i % 7) for i in range(150)]
    together = model.generate(prompts, 3)
    alone = [model.generate([prompt], 3)[0] for prompt in prompts[::29]]
    assert together[::29] == alone


def test_an_answer_stops_at_the_end_and_does_not_hold_it(instruct, evaluation):
    tokenizer, network = load_tokenizer(instruct.path), load_model(instruct.path)
    tasks = read_microtasks(evaluation.path / "test.jsonl")[:20]
    prompts = [encode_prompt(tokenizer, task.prompt) for task in tasks]
    answers = TorchModel(network).generate(prompts, 30)
    assert answers == [greedy(network, prompt, 30) for prompt in prompts]
    special = {network.config.eos_token_id, network.config.pad_token_id}
    assert not special & {token for answer in answers for token in answer}
    assert min(map(len, answers)) < 30, "none of them ends: the model has not learned to"


def test_samples_follow_the_seed_and_the_temperature(model):
    prompts = [[20, 30, 40]] * 64
    first, again, other = (model.sample(prompts, 6, 1.0, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(set(map(tuple, first))) > 32, "a sample is hardly random"
    cold = model.sample(prompts, 6, 0.01, seed=1)
    assert len(set(map(tuple, cold))) < 4
    assert cold.count(model.generate(prompts[:1], 6)[0]) > 32


def test_samples_have_the_frequencies_of_the_softmax(model, network):
    prompt = [20, 30, 40]
    with torch.no_grad():
        logits = network(input_ids=torch.tensor([prompt])).logits[0, -1]
    expected = (logits / 0.7).softmax(-1)
    firsts = [answer[:1] for answer in model.sample([prompt] * 2000, 1, 0.7, seed=0)]
    likeliest = int(expected.argmax())
    share = float(expected[likeliest])
    # four standard deviations of a binomial
    assert abs(firsts.count([likeliest]) / 2000 - share) < 4 * (share * (1 - share) / 2000) ** 0.5


def test_the_likeliest_tokens_come_first_with_their_probabilities(model, network):
    with torch.no_grad():
        expected = network(input_ids=torch.tensor([[20, 30]])).logits[0, -1].softmax(-1)
    top = model.next_token_probabilities([20, 30], 5)
    assert [token for token, _ in top] == expected.argsort(descending=True)[:5].tolist()
    assert [p for _, p in top] == pytest.approx(expected.sort(descending=True).values[:5].tolist())
