"""What llama.cpp makes of a tokenizer: the same ids, or a refusal."""

import json
import shutil

import pytest
from tokenizers import Regex, Tokenizer, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from components.compress.gguf.export import export_gguf
from components.compress.gguf.server import check_template
from components.compress.gguf.tokenizer import _PATTERNS, check_ids, read_tokenizer
from components.data.tokens.subwords import train
from components.data.vocabulary import save
from components.lib.inference.llama.llama_cpp import LlamaFile
from components.lib.models.folders import load_tokenizer
from components.lib.text.chat import SPECIAL_TOKENS

gguf = pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
WORDS = pre_tokenizers.ByteLevel(add_prefix_space=False)
LLAMA3, QWEN2 = (_PATTERNS[name][0]["pattern"] for name in ("llama-bpe", "qwen2"))
CUTS = {
    "gpt-2": WORDS,
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), WORDS]),
    "llama-bpe": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), BYTES]),
    "qwen2": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"), BYTES]),
}


@pytest.fixture
def model(make, tmp_path):
    """Return a function that saves a model whose tokenizer cuts text in a way."""

    def made(cut=None):
        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        make(LlamaForCausalLM, LlamaConfig, folder)
        if cut is not None:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            tokenizer.pre_tokenizer = cut
            tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    return made


def exported(folder):
    file = folder.parent / "model.gguf"
    export_gguf(folder, file, "q8_0")
    return file


@pytest.mark.parametrize("name", CUTS)
def test_each_pattern_has_a_name_by_which_llama_cpp_gives_the_same_ids(name, model):
    folder = model(CUTS[name])
    assert read_tokenizer(folder, 512).pattern == name
    check_ids(LlamaFile(exported(folder)), load_tokenizer(folder), ["More: 12345 <|user|>."])


def test_a_wrong_name_is_caught_by_the_ids(model, monkeypatch):
    monkeypatch.setattr("components.compress.gguf.tokenizer._pattern_of", lambda *_: "gpt-2")
    folder = model(CUTS["qwen2"])
    with pytest.raises(ValueError, match="where the tokenizer gives"):
        check_ids(LlamaFile(exported(folder)), load_tokenizer(folder), [])


def test_a_special_token_that_takes_the_space_before_it_is_caught(model):
    folder = model()
    said = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    said["added_tokens"][2]["lstrip"] = True
    (folder / "tokenizer.json").write_text(json.dumps(said), "utf-8")
    with pytest.raises(ValueError, match=r"llama\.cpp reads 'one <"):
        check_ids(LlamaFile(exported(folder)), load_tokenizer(folder), [])


@pytest.mark.parametrize("kind", ["unigram", "wordpiece"])
def test_a_tokenizer_of_another_kind_is_refused_by_name(kind, tmp_path):
    texts = (f"one two three {n} four five six" for n in range(400))
    save(train(kind, texts, 300, list(SPECIAL_TOKENS)), tmp_path)
    with pytest.raises(ValueError, match=r"Train a vocabulary of the kind bpe"):
        read_tokenizer(tmp_path, 512)


def test_a_pattern_without_a_name_and_too_few_rows_are_refused(model):
    folder = model(pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), WORDS]))
    with pytest.raises(ValueError, match="a pattern that the GGUF export has no name of"):
        read_tokenizer(folder, 512)
    with pytest.raises(ValueError, match="has the id 511, and its model 500 rows"):
        read_tokenizer(model(), 500)


def test_rows_without_a_token_are_filled_up(model):
    found = read_tokenizer(model(), 520)
    assert len(found.tokens) == len(found.kinds) == 520
    assert found.tokens[-1] == "[PAD519]"
    assert set(found.kinds[512:]) == {5}


def test_a_template_that_llama_cpp_renders_in_another_way_is_caught(model):
    folder = model()
    file, tokenizer = exported(folder), load_tokenizer(folder)
    check_template(file, tokenizer)
    tokenizer.chat_template = tokenizer.chat_template.replace("'<|'", "'<< '")
    with pytest.raises(ValueError, match=r"llama\.cpp frames"):
        check_template(file, tokenizer)
