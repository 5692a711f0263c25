"""The tokenizer: every text there is has tokens and comes back to the last byte."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from components.data.vocabulary import TrainVocabulary
from components.lib.chat import SPECIAL_TOKENS
from components.lib.models import load_tokenizer

looks_special = st.lists(
    st.one_of(st.sampled_from(SPECIAL_TOKENS), st.text(max_size=5), st.just("<|")), max_size=6
).map("".join)


@pytest.fixture(scope="module")
def plain(vocabulary) -> Tokenizer:
    """The tokenizer as pretraining uses it: what looks like a special token is text."""
    tokenizer = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return tokenizer


@settings(max_examples=200, deadline=None)
@given(text=st.one_of(st.text(), looks_special))
@example("<|endoftext|>")
@example("  two  spaces \r\n\t\u2028 and \x00\x7f")
@example("e\u0301 Å ﬁ 🏳️‍🌈 \U0010ffff")
@example("don't 've .5e-10 x_y CamelCase")
def test_every_text_comes_back_exactly_and_holds_no_special_token(plain, vocabulary, text):
    ids = plain.encode(text, add_special_tokens=False).ids
    assert plain.decode(ids, skip_special_tokens=False) == text
    assert not {plain.token_to_id(token) for token in SPECIAL_TOKENS} & set(ids)
    assert load_tokenizer_once(vocabulary).decode(ids) == text, "transformers decodes otherwise"


_LOADED = {}


def load_tokenizer_once(vocabulary):
    if vocabulary.path not in _LOADED:
        _LOADED[vocabulary.path] = load_tokenizer(vocabulary.path)
    return _LOADED[vocabulary.path]


def test_it_has_the_size_that_was_asked_with_the_special_tokens_first(vocabulary, plain):
    assert vocabulary.vocab_size == plain.get_vocab_size() == 512
    assert [plain.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4, 5]
    assert len(load_tokenizer(vocabulary.path)) == 512


def test_every_digit_is_a_token_of_its_own_however_often_a_number_was_read(corpus, tmp_path):
    folder = tmp_path / "numbers"
    folder.mkdir()
    text = (corpus.path / "train.jsonl").read_text("utf-8").splitlines(keepends=True)[0]
    numbers = json.dumps({"id": "numbers", "text": "In 1790 and 12.50 of 1790, 1790. " * 500})
    (folder / "train.jsonl").write_text(text + numbers + "\n", encoding="utf-8")
    (tmp_path / "out").mkdir()
    made = TrainVocabulary(vocab_size=400).run(
        corpus.model_copy(update={"path": folder}), tmp_path / "out"
    )
    tokenizer = Tokenizer.from_file(str(made.path / "tokenizer.json"))
    assert not [token for token in tokenizer.get_vocab() if sum(map(str.isdigit, token)) > 1]
    tokens = tokenizer.encode("in 1790, $12.50", add_special_tokens=False).tokens
    assert [token for token in tokens if token.isdigit()] == list("17901250")


def test_common_words_are_short_and_it_learned_from_the_train_split_alone(corpus, tmp_path, plain):
    assert len(plain.encode(" the", add_special_tokens=False).ids) == 1
    for name in ("validation", "test"):
        assert (corpus.path / f"{name}.jsonl").exists()
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "train.jsonl").symlink_to(corpus.path / "train.jsonl")
    (tmp_path / "again").mkdir()
    only_train = corpus.model_copy(update={"path": alone})
    again = TrainVocabulary(vocab_size=512).run(only_train, tmp_path / "again")
    made = Tokenizer.from_file(str(again.path / "tokenizer.json"))
    assert made.get_vocab() == plain.get_vocab()


def test_the_same_text_gives_the_same_files(corpus, vocabulary, tmp_path):
    TrainVocabulary(vocab_size=512).run(corpus, tmp_path)
    for file in vocabulary.path.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_corpus_that_is_too_small_is_an_error_with_both_sizes(corpus, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    (small / "train.jsonl").write_text('{"id": "a", "text": "so little text"}\n')
    with pytest.raises(ValueError, match=r"yields only 2\d\d tokens, but self.vocab_size=600"):
        TrainVocabulary(vocab_size=600).run(corpus.model_copy(update={"path": small}), tmp_path)
