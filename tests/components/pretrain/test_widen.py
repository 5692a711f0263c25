"""Widen: rows for new tokens are the means of their parts, and old texts are read as before."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.data.extend_vocabulary import ExtendVocabulary, ExtendVocabularyInputs
from components.lib.models.folders import load_model
from components.lib.text.new_tokens import read_new_tokens
from components.pretrain.existing import Adopt, vocabulary_of
from components.pretrain.model_files import ModelFiles
from components.pretrain.widen import Widen, WidenInputs

_spec = importlib.util.spec_from_file_location("foreign", Path(__file__).with_name("foreign.py"))
assert _spec is not None and _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def widened(folder: Path, corpus, tmp_path: Path, **config):
    """Return a model as it was taken in, its extended vocabulary, and the wider model."""
    base = Adopt().run(ModelFiles.of(folder), made(tmp_path, "base"))
    asked = ExtendVocabularyInputs(vocabulary=vocabulary_of(base), corpus=corpus)
    vocabulary = ExtendVocabulary(**config).run(asked, made(tmp_path, "vocabulary"))
    inputs = WidenInputs(model=base, vocabulary=vocabulary)
    return base, vocabulary, Widen().run(inputs, made(tmp_path, "wide"))


@pytest.mark.parametrize("kind", foreign.CONFIGS)
@torch.no_grad()
def test_new_rows_are_means_and_old_texts_have_their_logits(kind, corpus, tmp_path):
    make = foreign.gemma if kind.startswith("Gemma") else foreign.smol
    folder = make(tmp_path / "model", kind)
    given = () if kind.startswith("Gemma") else ("<think>", "otter pup")
    base, vocabulary, wide = widened(folder, corpus, tmp_path, num_learnt=20, given=given)
    before, after = load_model(base.path), load_model(wide.path)
    tokens = list(read_new_tokens(vocabulary.path))
    assert after.config.get_text_config().vocab_size == vocabulary.vocab_size
    for old, new in zip(tables(before), tables(after), strict=True):
        assert torch.equal(new[: len(old)], old)
        for token in tokens:
            torch.testing.assert_close(new[token.id], old[list(token.parts)].mean(0))
    ids = torch.arange(8)[None]
    old, new = (model(input_ids=ids).logits for model in (before, after))
    torch.testing.assert_close(new[..., : old.shape[-1]], old)
    assert json.loads((wide.path / "base.json").read_text())["new_tokens"] == len(tokens)


def tables(model) -> list[torch.Tensor]:
    head = model.get_output_embeddings()
    found = [model.get_input_embeddings().weight, head.weight]
    return found if head.bias is None else [*found, head.bias]


@pytest.mark.parametrize("tied", [True, False])
def test_a_head_stays_tied_or_its_own(tied, corpus, tmp_path):
    folder = foreign.smol(tmp_path / "model", tie_word_embeddings=tied)
    _, _, wide = widened(folder, corpus, tmp_path, num_learnt=20)
    model = load_model(wide.path)
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) == tied


def test_rows_to_spare_are_used_before_the_table_grows(corpus, tmp_path):
    folder = foreign.smol(tmp_path / "model")
    foreign.save_model(folder, "Llama", 320, eos_token_id=2)
    _, vocabulary, wide = widened(folder, corpus, tmp_path, given=("<think>",))
    assert vocabulary.vocab_size == 260
    rows = load_model(wide.path).get_input_embeddings().weight
    (token,) = read_new_tokens(vocabulary.path)
    assert rows.shape[0] == 320
    torch.testing.assert_close(rows[token.id], rows[list(token.parts)].mean(0))


def test_transformers_alone_loads_model_and_tokenizer(corpus, tmp_path):
    _, vocabulary, wide = widened(
        foreign.smol(tmp_path / "model"), corpus, tmp_path, num_learnt=20, given=("<think>",)
    )
    tokenizer = AutoTokenizer.from_pretrained(wide.path)
    model = AutoModelForCausalLM.from_pretrained(wide.path)
    ids = tokenizer("the <think> other", return_tensors="pt", add_special_tokens=False).input_ids
    assert int(ids.max()) == vocabulary.vocab_size - 1
    assert model(input_ids=ids).logits.shape[-1] == vocabulary.vocab_size


def test_a_vocabulary_that_was_not_extended_is_refused(checkpoint, vocabulary, tmp_path):
    with pytest.raises(ValueError, match="has no new tokens"):
        Widen().run(WidenInputs(model=checkpoint, vocabulary=vocabulary), tmp_path)
