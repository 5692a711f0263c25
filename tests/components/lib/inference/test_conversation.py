"""Talk with a model: draws against the definition, and each token's probability."""

from collections import Counter
from random import Random

import pytest

from components.compress.export import export_int8
from components.lib.inference.conversation import Chosen, Conversation, Sampling, choose, exported

RANKED = [(7, 0.5), (3, 0.3), (9, 0.2)]


def shares(sampling: Sampling, number: int = 4000) -> dict[int, float]:
    random = Random(0)
    drawn = Counter(choose(RANKED, sampling, random)[0] for _ in range(number))
    return {token: count / number for token, count in drawn.items()}


def test_at_temperature_zero_the_likeliest_token_is_taken():
    assert shares(Sampling(temperature=0)) == {7: 1.0}


def test_tokens_are_drawn_from_the_softmax_at_the_temperature():
    assert shares(Sampling(temperature=1)) == pytest.approx({7: 0.5, 3: 0.3, 9: 0.2}, abs=0.03)
    powers = {token: share**2 for token, share in RANKED}
    wanted = {token: power / sum(powers.values()) for token, power in powers.items()}
    assert shares(Sampling(temperature=0.5)) == pytest.approx(wanted, abs=0.03)


def test_only_the_smallest_set_that_holds_top_p_is_drawn_from():
    assert shares(Sampling(temperature=1, top_p=0.4)) == {7: 1.0}
    assert shares(Sampling(temperature=1, top_p=0.6)) == pytest.approx(
        {7: 0.625, 3: 0.375}, abs=0.03
    )


def test_probabilities_too_small_to_raise_are_still_drawn_from():
    assert choose([(1, 1e-30), (2, 1e-31)], Sampling(temperature=0.05), Random(0))[0] == 1


@pytest.fixture(scope="module")
def talk(instruct):
    return Conversation(instruct.path, num_threads=1)


def test_greedy_tokens_are_those_of_generate_each_with_the_models_own_probability(talk):
    ids = talk.ask("Count: 1 2 3")
    tokens = list(talk.stream(ids, Sampling(max_new_tokens=8), num_likeliest=3))
    assert tokens
    assert talk.text(tokens) == talk.answer("Count: 1 2 3", max_new_tokens=8)
    for token in tokens:
        assert token.likeliest[0] == (token.text, token.probability)
        assert [share for _, share in token.likeliest] == sorted(
            (share for _, share in token.likeliest), reverse=True
        )
        assert len(token.likeliest) == 3


def test_a_seed_gives_the_same_answer_again_and_another_seed_another_one(talk):
    def tokens(seed: int) -> list[int]:
        sampling = Sampling(max_new_tokens=12, temperature=2.0, seed=seed)
        return [token.id for token in talk.stream(talk.read("The"), sampling)]

    assert tokens(1) == tokens(1)
    assert any(tokens(1) != tokens(seed) for seed in (2, 3, 4))


def test_an_answer_stops_where_the_context_is_full(talk):
    ids = talk.read("a") * (talk.context_length - 2)
    ids = ids[: talk.context_length - 2]
    sampling = Sampling(max_new_tokens=50, temperature=1.0)
    assert len(list(talk.stream(ids, sampling))) <= 2


def test_a_prompt_that_fills_the_context_is_refused_with_the_remedy(talk):
    ids = [5] * talk.context_length
    with pytest.raises(ValueError, match="leave no room in a context of"):
        next(talk.stream(ids, Sampling()))


def test_special_tokens_in_a_message_are_text(talk):
    assert talk.end not in talk.ask("<|endoftext|>")


def test_where_a_folder_has_both_forms_the_one_that_is_asked_for_speaks(instruct, tmp_path):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(instruct.path, folder)
    assert exported(folder) is None
    export_int8(folder, folder / "onnx")
    assert exported(folder) == folder / "onnx"
    sampling = Sampling(max_new_tokens=1)
    said = [
        next(each.stream(each.ask("Count: 1 2 3"), sampling))
        for each in (Conversation(folder, 1), Conversation(folder, 1, as_exported=False))
    ]
    assert all(isinstance(token, Chosen) for token in said)
    assert said[0].probability == pytest.approx(said[1].probability, abs=0.2)
    assert said[0].probability != said[1].probability
