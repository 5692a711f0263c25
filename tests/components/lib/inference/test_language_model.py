"""One interface: what both runtimes refuse, and that neither forgets what it has read."""

import numpy as np
import pytest
import torch

from components.lib.device import has_bfloat16
from components.lib.inference.language_model import Drawn, LanguageModel
from components.lib.inference.onnx_model import OnnxModel
from components.lib.inference.sampling import Sampling
from components.lib.inference.torch_model import TorchModel
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import load_model
from components.lib.models.shape import Shape

FORMS = ("torch", "onnx")
ROUNDING = 3e-2 if has_bfloat16() else 1e-3  # what scores may be computed in


@pytest.fixture(scope="module")
def models(both_forms) -> dict[str, LanguageModel]:
    return {
        "torch": TorchModel(load_model(both_forms)),
        "onnx": OnnxModel(both_forms / "onnx", num_threads=1),
    }


@pytest.fixture(params=FORMS)
def model(request, models) -> LanguageModel:
    return models[request.param]


def refused(act) -> str:
    with pytest.raises(ValueError) as error:
        act()
    return str(error.value)


WRONG = {
    "A prompt is empty: give the model something to go on from.": [
        lambda model: model.generate([[5], []], 4),
        lambda model: model.stream([], Sampling()),
        lambda model: model.next_token_probabilities([], 3),
    ],
    "Token -100 is outside the vocabulary, 0 to 511: "
    "encode the text with this model's own tokenizer.": [
        lambda model: model.generate([[5, -100]], 4),
        lambda model: model.stream([-100], Sampling()),
        lambda model: model.next_token_probabilities([-100], 3),
        lambda model: model.negative_log_likelihood(np.array([[5, -100]])),
    ],
    "Token 512 is outside the vocabulary, 0 to 511: "
    "encode the text with this model's own tokenizer.": [
        lambda model: model.generate([[512]], 4),
        lambda model: model.negative_log_likelihood(np.array([[512, 5]])),
    ],
    "A prompt of 250 tokens and 7 new ones do not fit a context of 256: "
    "shorten the prompt, or ask for 6 new ones at most.": [
        lambda model: model.generate([[5], [5] * 250], 7),
    ],
    "A prompt of 256 tokens leaves no room in a context of 256: "
    "shorten it to 255 tokens at most.": [
        lambda model: model.generate([[5] * 256], 7),
        lambda model: model.stream([5] * 256, Sampling()),
    ],
    "257 tokens do not fit a context of 256: shorten the text.": [
        lambda model: model.next_token_probabilities([5] * 257, 3),
        lambda model: model.negative_log_likelihood(np.full((1, 258), 5)),
    ],
    "max_new_tokens is 0: ask for at least 1.": [
        lambda model: model.generate([[5]], 0),
        lambda model: model.stream([5], Sampling(max_new_tokens=0)),
    ],
    "num_tokens is 513: ask for 1 to 512, the whole vocabulary.": [
        lambda model: model.next_token_probabilities([5], 513),
    ],
    "ids have shape (3,): give (sequences, at least 2 tokens).": [
        lambda model: model.negative_log_likelihood(np.array([5, 6, 7])),
    ],
}
CASES = [(said, act) for said, acts in WRONG.items() for act in acts]


@pytest.mark.parametrize(("said", "act"), CASES)
def test_every_runtime_refuses_the_same_input_in_the_same_words(model, said, act):
    assert refused(lambda: act(model)) == said


def test_a_sample_of_a_torch_model_is_refused_like_any_other_answer(models):
    said = refused(lambda: models["torch"].sample([[]], 4, 1.0, seed=0))
    assert said == "A prompt is empty: give the model something to go on from."


def test_a_context_may_be_filled_to_its_last_token(model):
    (made,) = model.generate([[5] * 250], 6)
    assert len(made) <= 6
    assert len(model.next_token_probabilities([5] * 256, 3)) == 3
    assert model.negative_log_likelihood(np.full((1, 257), 5)).shape == (1, 256)
    tokens = list(model.stream([5] * 250, Sampling(max_new_tokens=50, temperature=3.0)))
    assert len(tokens) <= 6


def test_no_prompts_have_no_answers(model):
    assert model.generate([], 4) == []


def drawn(model: LanguageModel, prompt: list[int], seed: int) -> list[Drawn]:
    return list(model.stream(prompt, Sampling(max_new_tokens=40, temperature=1.5, seed=seed)))


def test_the_probabilities_of_a_stream_are_those_of_reading_all_again(model):
    longest = 0
    for seed in range(4):
        ids = [70, 80, 90, 100]
        for token, probabilities in drawn(model, ids, seed):
            again = model.next_token_probabilities(ids, 512)
            whole = np.zeros(512, np.float32)
            whole[[index for index, _ in again]] = [share for _, share in again]
            np.testing.assert_allclose(probabilities, whole, rtol=2e-3, atol=1e-5)
            ids = [*ids, token]
        longest = max(longest, len(ids))
    assert longest > 20


def test_the_probabilities_of_a_stream_are_those_that_score_the_text(model):
    prompt = [70, 80, 90, 100]
    tokens = max((drawn(model, prompt, seed) for seed in range(4)), key=len)
    assert len(tokens) > 10
    whole = np.array([prompt + [token.id for token in tokens]])
    nats = model.negative_log_likelihood(whole)[0, len(prompt) - 1 :]
    found = -np.log([float(token.probabilities[token.id]) for token in tokens])
    np.testing.assert_allclose(found, nats, rtol=ROUNDING, atol=ROUNDING)


def test_a_greedy_stream_is_what_is_generated(model):
    prompts = [[70, 80, 90], [100], [200, 201, 202, 203, 204]]
    streamed = [
        [token.id for token in model.stream(prompt, Sampling(max_new_tokens=12))]
        for prompt in prompts
    ]
    assert streamed == model.generate(prompts, 12)


def test_a_seed_gives_the_same_tokens_again_and_another_seed_other_ones(model):
    def ids(seed: int) -> list[int]:
        sampling = Sampling(max_new_tokens=16, temperature=2.0, top_p=0.9, seed=seed)
        return [token.id for token in model.stream([70, 80], sampling)]

    assert ids(1) == ids(1)
    assert any(ids(1) != ids(seed) for seed in (2, 3, 4))


def test_every_runtime_makes_the_same_shares_of_the_same_logits(models):
    logits = np.random.default_rng(0).normal(scale=4, size=512).astype(np.float32)
    for temperature, top_p in ((1.0, 1.0), (0.3, 0.9), (2.5, 0.5), (0.05, 0.2)):
        sampling = Sampling(temperature=temperature, top_p=top_p)
        shares = [models[form].shares(logits, sampling) for form in FORMS]
        np.testing.assert_allclose(*shares, rtol=1e-4, atol=1e-6)


def test_first_tokens_of_a_stream_come_as_often_as_the_softmax_says(model):
    ((best, share),) = model.next_token_probabilities([70, 80], 1)
    sampling = Sampling(max_new_tokens=1, temperature=1.0)
    seeds = (sampling.model_copy(update={"seed": seed}) for seed in range(800))
    firsts = [token.id for each in seeds for token in model.stream([70, 80], each)]
    # four standard deviations of a binomial
    assert abs(firsts.count(best) / 800 - share) < 4 * (share * (1 - share) / 800) ** 0.5


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "sliding", "gpt2", "moe"])
def test_every_architecture_reads_each_token_once_and_forgets_none(architecture):
    groups = 4 if architecture == "gpt2" else 2
    shape = Shape(
        architecture=architecture,
        width=64,
        num_layers=2,
        num_heads=4,
        num_key_value_heads=groups,
        max_length=64,
        window=8,
    )
    network = build_model(shape, 512, SpecialIds(0, 1), seed=0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1 and "emb" not in name and "wte" not in name:
                parameter.normal_(std=0.2)
    lengths: list[int] = []
    network.get_input_embeddings().register_forward_hook(
        lambda _, given, __: lengths.append(given[0].shape[1])
    )
    model = TorchModel(network.eval())
    sampling = Sampling(max_new_tokens=30, temperature=3.0, seed=1)
    prompt = list(range(70, 82))
    tokens = list(model.stream(prompt, sampling))
    assert lengths == [12] + [1] * (len(lengths) - 1)
    assert len(tokens) > 10
    with torch.no_grad():
        whole = torch.tensor([prompt + [token.id for token in tokens]])
        logits = network(input_ids=whole, use_cache=False).logits[0, 11:-1]
    found = np.array([token.probabilities for token in tokens])
    np.testing.assert_allclose(found, logits.softmax(-1).numpy(), rtol=2e-3, atol=1e-5)
