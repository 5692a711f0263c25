"""Talk with a model in a folder: which of its two forms speaks, and each token's probability."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.lib.inference.conversation import Chosen, Conversation, exported
from components.lib.inference.sampling import Sampling

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module", params=["as exported", "as trained"])
def talk(request, both_forms):
    return Conversation(both_forms, 1, as_exported=request.param == "as exported")


def test_a_token_has_the_models_own_probability_and_those_that_were_near(talk):
    tokens = list(talk.stream(talk.ask("Count: 1 2 3"), Sampling(max_new_tokens=8), 3))
    assert tokens
    assert talk.text(tokens) == talk.answer("Count: 1 2 3", Sampling(max_new_tokens=8))
    for token in tokens:
        assert token.likeliest[0] == (token.text, token.probability)
        shares = [share for _, share in token.likeliest]
        assert shares == sorted(shares, reverse=True)
        assert len(shares) == 3


def test_the_likeliest_tokens_after_a_text_begin_its_continuation(talk):
    top = talk.next_tokens("The state of", 5)
    (first,) = talk.stream(talk.read("The state of"), Sampling(max_new_tokens=1))
    assert first.text == top[0][0]
    assert first.probability == pytest.approx(top[0][1], rel=1e-4)
    assert len(talk.next_tokens("The state of", 10**6)) == talk.model.vocab_size


def test_an_answer_ends_with_the_end_of_text_and_does_not_hold_it(talk):
    asked = [f"Count: 1 2 {number}" for number in range(3, 11)]
    tokens = [list(talk.stream(talk.ask(each), Sampling())) for each in asked]
    assert talk.end not in {token.id for answer in tokens for token in answer}
    assert min(map(len, tokens)) < 64, "none of them ends: the model has not learned to"


def test_a_prompt_is_refused_before_the_first_token_is_asked_for(talk):
    with pytest.raises(ValueError, match="leaves no room in a context of 256"):
        talk.stream([5] * 256, Sampling())
    with pytest.raises(ValueError, match="A prompt is empty"):
        talk.stream(talk.read(""), Sampling())


def test_special_tokens_in_a_message_are_text(talk):
    assert talk.end not in talk.ask("<|endoftext|>")


def test_a_text_is_spoken_in_whole_characters_and_to_its_last_byte(talk):
    def chosen(text: str) -> list[Chosen]:
        return [Chosen(token, "", 1.0, ()) for token in talk.read(text)]

    tokens = chosen("naïve — 漢字 🜂!")
    said = list(talk.spoken(tokens))
    assert "".join(said) == "naïve — 漢字 🜂!"
    assert not any("\ufffd" in piece for piece in said)
    assert len(said) < len(tokens), "no character is made of several tokens"
    cut = tokens[:-2]  # the last character is not whole
    assert "".join(talk.spoken(cut)) == talk.text(cut)
    assert "".join(talk.spoken([])) == ""


def test_where_a_folder_has_both_forms_the_one_that_is_asked_for_speaks(both_forms, instruct):
    assert exported(instruct.path) is None
    assert exported(both_forms) == both_forms / "onnx"
    assert exported(both_forms / "onnx") == both_forms / "onnx"
    said = [
        next(each.stream(each.ask("Count: 1 2 3"), Sampling(max_new_tokens=1)))
        for each in (Conversation(both_forms, 1), Conversation(both_forms, 1, as_exported=False))
    ]
    assert said[0].probability == pytest.approx(said[1].probability, abs=0.2)
    assert said[0].probability != said[1].probability


def test_a_damaged_export_is_named_with_the_remedy(both_forms, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(both_forms / "onnx", folder)
    (folder / "model.onnx").write_bytes(b"nothing")
    talk = Conversation(folder, 1)
    with pytest.raises(ValueError, match=r"damaged does not load .*: export the model again"):
        list(talk.stream([5], Sampling()))


def test_an_export_speaks_without_torch_and_transformers(both_forms):
    code = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "from components.lib.inference.conversation import Conversation\n"
        "from components.lib.inference.sampling import Sampling\n"
        f"talk = Conversation(Path({str(both_forms)!r}), 1)\n"
        "sampling = Sampling(max_new_tokens=4, temperature=1.0)\n"
        "tokens = list(talk.stream(talk.ask('Count: 1 2 3'), sampling))\n"
        "heavy = {'torch', 'transformers', 'mlflow', 'onnxruntime'} & set(sys.modules)\n"
        "print(json.dumps([len(tokens), sorted(heavy)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    number, heavy = json.loads(done.stdout)
    assert number > 0
    assert heavy == []
