"""The tokenizer: every text there is has tokens and comes back to the last byte, in each kind."""

import json
import math
import shutil
from collections import Counter
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from components.core.artifacts.data import Corpus, Vocabulary
from components.data.document import Document, write_documents
from components.data.tokenize import Tokenize, TokenizeInputs
from components.data.tokens.subwords import SubwordKind
from components.data.vocabulary import TrainVocabulary, sample
from components.lib.inference.held_out import HeldOut
from components.lib.models.folders import load_tokenizer
from components.lib.text.chat import SPECIAL_TOKENS, TEMPLATE, decode, encode_prompt
from components.lib.text.tokens import byte_lengths
from tests.record_versions import ROOT, source_hash

KINDS = get_args(SubwordKind)
looks_special = st.lists(
    st.one_of(st.sampled_from(SPECIAL_TOKENS), st.text(max_size=5), st.just("<|")), max_size=6
).map("".join)


@pytest.fixture(scope="module")
def vocabularies(corpus, vocabulary, tmp_path_factory) -> dict[str, Vocabulary]:
    """A vocabulary of each kind, trained on the same documents."""
    made = {"bpe": vocabulary}
    for kind in KINDS[1:]:
        size = 650 if kind == "wordpiece" else 512
        component = TrainVocabulary(kind=kind, vocab_size=size, sample_bytes=60_000)
        made[kind] = component.run(corpus, tmp_path_factory.mktemp(kind))
    return made


@pytest.fixture(scope="module")
def plain(vocabularies) -> dict[str, Tokenizer]:
    """The tokenizers as pretraining uses them: what looks like a special token is text."""
    files = {kind: made.path / "tokenizer.json" for kind, made in vocabularies.items()}
    found = {kind: Tokenizer.from_file(str(file)) for kind, file in files.items()}
    for tokenizer in found.values():
        tokenizer.encode_special_tokens = True
    return found


@pytest.fixture(scope="module")
def loaded(vocabularies):
    """The tokenizers as transformers loads them."""
    return {kind: load_tokenizer(made.path) for kind, made in vocabularies.items()}


@settings(max_examples=120, deadline=None)
@given(text=st.one_of(st.text(), looks_special))
@example("<|endoftext|>")
@example("  two  spaces \r\n\t\u2028 and \x00\x7f")
@example("e\u0301 Å ﬁ 🏳️‍🌈 \U0010ffff")
@example("don't 've .5e-10 x_y CamelCase")
@example("<0x41> \u2040a ▁ ## ##a Ġ Ċ")
@example("a" * 300)
def test_every_text_comes_back_exactly_and_holds_no_special_token_in_any_kind(plain, loaded, text):
    for kind, tokenizer in plain.items():
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text, kind
        assert not {tokenizer.token_to_id(token) for token in SPECIAL_TOKENS} & set(ids), kind
        assert loaded[kind].decode(ids) == text, f"{kind}: transformers decodes otherwise"


@settings(max_examples=60, deadline=None)
@given(text=st.text())
@example("<0x41> \u2040a ▁ ##a Ġ 漢字 naïve 🜂")
def test_the_bytes_of_its_tokens_are_the_bytes_of_a_text_in_any_kind(plain, lengths, text):
    for kind, tokenizer in plain.items():
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert lengths[kind][ids].sum() == len(text.encode()), kind


@pytest.fixture(scope="module")
def lengths(vocabularies):
    return {kind: byte_lengths(made.path, made.vocab_size) for kind, made in vocabularies.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_come_first_and_the_chat_template_is_in_every_kind(
    plain, loaded, vocabularies, kind
):
    tokenizer = plain[kind]
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4, 5]
    assert vocabularies[kind].vocab_size == tokenizer.get_vocab_size() == len(loaded[kind])
    assert loaded[kind].chat_template == TEMPLATE
    prompt = encode_prompt(loaded[kind], "Hello <|user|>")
    assert decode(loaded[kind], prompt) == "<|user|>Hello <|user|><|assistant|>"
    assert [prompt.count(index) for index in (2, 3)] == [1, 1], "a message can hold a turn"


class Uniform:
    """A model that finds every id equally likely."""

    def __init__(self, vocab_size: int) -> None:
        self.nats = math.log(vocab_size)

    def negative_log_likelihood(self, ids):
        return np.full((len(ids), ids.shape[1] - 1), self.nats, np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_shards_of_every_kind_give_bits_per_byte_of_the_text_they_stand_for(
    corpus, vocabularies, tmp_path, kind
):
    inputs = TokenizeInputs(corpus=corpus, vocabulary=vocabularies[kind])
    shards = Tokenize().run(inputs, tmp_path)
    ids = np.load(tmp_path / "test" / "shard_00000.npy")
    lengths = np.load(tmp_path / "byte_lengths.npy")
    assert lengths[ids].sum() == corpus.num_bytes["test"]
    held_out = HeldOut(shards, "test", len(ids) - 1, 1)  # all of it, but for the first token
    bits = (len(ids) - 1) * math.log2(shards.vocab_size)
    expected = bits / (corpus.num_bytes["test"] - lengths[ids[0]])
    assert held_out.bits_per_byte(Uniform(shards.vocab_size)) == pytest.approx(expected)


def test_subwords_reach_the_size_that_was_asked_and_others_are_as_large_as_they_are(vocabularies):
    sizes = {kind: made.vocab_size for kind, made in vocabularies.items()}
    assert (sizes["bpe"], sizes["unigram"], sizes["wordpiece"]) == (512, 512, 650)
    assert sizes["byte"] == 256 + len(SPECIAL_TOKENS) < sizes["character"] < 400


def test_a_character_is_a_token_if_it_was_seen_and_the_bytes_of_its_utf8_if_not(plain):
    tokens = plain["character"].encode("aé\u4e00", add_special_tokens=False).tokens
    assert tokens[0] == "a"
    assert tokens[-3:] == ["<0xE4>", "<0xB8>", "<0x80>"]
    assert len(plain["byte"].encode("aé\u4e00", add_special_tokens=False)) == 6


def test_subwords_need_fewer_tokens_than_characters_and_bytes(plain):
    text = "The people of the United States and the Congress have the honor."
    number = {kind: len(t.encode(text, add_special_tokens=False)) for kind, t in plain.items()}
    assert max(number["bpe"], number["unigram"], number["wordpiece"]) < number["character"]
    assert number["character"] == number["byte"] == len(text)


@pytest.mark.parametrize(("kind", "size"), [("bpe", 400), ("unigram", 400), ("wordpiece", 600)])
def test_every_digit_is_a_token_of_its_own_however_often_a_number_was_read(
    corpus, tmp_path, kind, size
):
    folder = tmp_path / "numbers"
    folder.mkdir()
    text = (corpus.path / "train.jsonl").read_text("utf-8").splitlines(keepends=True)[0]
    numbers = json.dumps({"id": "numbers", "text": "In 1790 and 12.50 of 1790, 1790. " * 500})
    (folder / "train.jsonl").write_text(text + numbers + "\n", encoding="utf-8")
    (tmp_path / "out").mkdir()
    made = TrainVocabulary(kind=kind, vocab_size=size).run(
        corpus.model_copy(update={"path": folder}), tmp_path / "out"
    )
    tokenizer = Tokenizer.from_file(str(made.path / "tokenizer.json"))
    assert not [
        token
        for token in tokenizer.get_vocab()
        if sum(map(str.isdigit, token)) > 1 and token.isascii()
    ]
    tokens = tokenizer.encode("in 1790, $12.50", add_special_tokens=False).tokens
    assert [token for token in tokens if token.isdigit()] == list("17901250")


def test_common_words_are_short_and_it_learned_from_the_train_split_alone(corpus, tmp_path, plain):
    assert len(plain["bpe"].encode(" the", add_special_tokens=False).ids) == 1
    for name in ("validation", "test"):
        assert (corpus.path / f"{name}.jsonl").exists()
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "train.jsonl").symlink_to(corpus.path / "train.jsonl")
    (tmp_path / "again").mkdir()
    only_train = corpus.model_copy(update={"path": alone})
    again = TrainVocabulary(vocab_size=512).run(only_train, tmp_path / "again")
    made = Tokenizer.from_file(str(again.path / "tokenizer.json"))
    assert made.get_vocab() == plain["bpe"].get_vocab()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_text_gives_the_same_files_in_every_kind(corpus, vocabularies, tmp_path, kind):
    """The trainer of Unigram sums in a random order."""
    size = max(512, vocabularies[kind].vocab_size)
    taken = 1 << 30 if kind == "bpe" else 60_000
    TrainVocabulary(kind=kind, vocab_size=size, sample_bytes=taken).run(corpus, tmp_path)
    for file in vocabularies[kind].path.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_corpus_that_is_too_small_is_an_error_with_both_sizes(corpus, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    (small / "train.jsonl").write_text('{"id": "a", "text": "so little text"}\n')
    with pytest.raises(ValueError, match=r"yields only 2\d\d tokens, but self.vocab_size=600"):
        TrainVocabulary(vocab_size=600).run(corpus.model_copy(update={"path": small}), tmp_path)


def test_a_kind_that_needs_more_ids_than_were_asked_is_an_error(corpus, tmp_path):
    with pytest.raises(ValueError, match=r"at least 262 tokens, but self.vocab_size=257"):
        TrainVocabulary(kind="byte", vocab_size=257).run(corpus, tmp_path)


def _corpus(folder, texts: dict[str, str]) -> Corpus:
    folder.mkdir()
    documents = [Document(id=name, text=text) for name, text in texts.items()]
    write_documents(folder / "train.jsonl", documents)
    size = sum(len(text.encode()) for text in texts.values())
    return Corpus(path=folder, num_documents={"train": len(texts)}, num_bytes={"train": size})


def test_a_sample_holds_the_same_share_of_every_source_spread_over_it_whatever_its_documents(
    tmp_path,
):
    texts = {f"small/{n}": f"{n:03} " * 250 for n in range(400)}
    texts |= {f"rare/{n}": f"{n:03} " * 250 for n in range(40)}
    texts["huge/0"] = "é" * 2_000_000
    corpus = _corpus(tmp_path / "corpus", texts)
    wanted = corpus.num_bytes["train"] // 10
    found = list(sample(corpus, "train", wanted))
    sizes = Counter()
    for document in found:
        sizes[document.id.split("/")[0]] += len(document.text.encode())
    assert sum(sizes.values()) == pytest.approx(wanted, rel=0.1)
    for source, whole in (("small", 400_000), ("rare", 40_000), ("huge", 4_000_000)):
        assert sizes[source] == pytest.approx(whole / 10, rel=0.25), source
    numbers = [int(d.id.split("/")[1]) for d in found if d.id.startswith("small")]
    assert max(np.diff(numbers)) < 30, "some stretch of the file is left out"
    assert [d.id for d in sample(corpus, "train", corpus.num_bytes["train"])] == list(texts)


def test_another_kind_size_or_sample_is_another_vocabulary_and_other_shards(corpus):
    components = [
        TrainVocabulary(),
        TrainVocabulary(kind="unigram"),
        TrainVocabulary(vocab_size=5000),
        TrainVocabulary(sample_bytes=1000),
    ]
    _assert_all_differ(components, corpus)


def test_another_version_changes_every_fingerprint_after_it(corpus):
    class Raised(TrainVocabulary):
        version = "99.0.0"

        @property
        def name(self):
            return TrainVocabulary().name

    _assert_all_differ([TrainVocabulary(), Raised()], corpus)


def _assert_all_differ(components, corpus):
    prints = [component.fingerprint(corpus) for component in components]
    after = [
        Tokenize().fingerprint(
            TokenizeInputs(
                corpus=corpus,
                vocabulary=Vocabulary(path=corpus.path, fingerprint=print_, vocab_size=4096),
            )
        )
        for print_ in prints
    ]
    assert len(set(prints)) == len(set(after)) == len(components)


@pytest.mark.parametrize(
    ("file", "old"),
    [
        ("components/lib/text/chat.py", "add_generation_prompt %}{{"),
        ("components/lib/text/chat.py", '"<|mask|>"'),
        ("components/data/tokens/subwords.py", "individual_digits=True"),
    ],
    ids=["chat template", "special token", "digits"],
)
def test_a_change_of_the_template_or_the_tokenizer_cannot_keep_the_old_version(tmp_path, file, old):
    """`tests/test_versions.py` refuses a source that has another hash under the same version."""
    shutil.copytree(
        ROOT / "components", tmp_path / "components", ignore=shutil.ignore_patterns("__pycache__")
    )
    module = "components.data.vocabulary"
    text = (tmp_path / file).read_text("utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, f"{old[:-2]}X{old[-2:]}"), encoding="utf-8")
    assert source_hash(module, tmp_path) != source_hash(module, ROOT)
