"""ExtendVocabulary: new tokens stand in place of old ones, and nothing else is cut differently."""

import importlib.util
import json
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer

from components.core.artifacts.data import Corpus, Vocabulary
from components.data.document import Document, read_documents, write_documents
from components.data.extend_vocabulary import ExtendVocabulary, ExtendVocabularyInputs
from components.data.tokens.merges import learn, words_of
from components.lib.text.framing import framing
from components.lib.text.new_tokens import read_new_tokens
from components.lib.text.tokens import byte_lengths

_spec = importlib.util.spec_from_file_location(
    "foreign", Path(__file__).parents[1] / "pretrain" / "foreign.py"
)
assert _spec is not None and _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)


def byte_level(folder: Path) -> Vocabulary:
    tokenizer = foreign.byte_level("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    foreign.save_tokenizer(tokenizer, folder, foreign.CHATML, eos_token="<|endoftext|>")
    return Vocabulary(path=folder, vocab_size=tokenizer.get_vocab_size())


def sentence_piece(folder: Path) -> Vocabulary:
    tokenizer = foreign.sentence_piece("<bos>", "<eos>")
    foreign.save_tokenizer(tokenizer, folder, None, bos_token="<bos>", eos_token="<eos>")
    return Vocabulary(path=folder, vocab_size=tokenizer.get_vocab_size())


@pytest.fixture(params=["trained", "byte_level", "sentence_piece"])
def base(request, vocabulary, tmp_path) -> Vocabulary:
    """A vocabulary with merges of its own, and two as others make them, hardly with any."""
    if request.param == "trained":
        return vocabulary
    return {"byte_level": byte_level, "sentence_piece": sentence_piece}[request.param](
        tmp_path / "base"
    )


def tokenizer_in(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def extended(base: Vocabulary, corpus: Corpus, out: Path, **config) -> Vocabulary:
    out.mkdir()
    inputs = ExtendVocabularyInputs(vocabulary=base, corpus=corpus)
    return ExtendVocabulary(**config).run(inputs, out)


def in_old_tokens(vocabulary: Vocabulary, ids: list[int]) -> list[int]:
    parts = {token.id: token.parts for token in read_new_tokens(vocabulary.path)}
    return [part for token in ids for part in parts.get(token, (token,))]


def texts_of(corpus: Corpus, split: str, number: int = 20) -> list[str]:
    documents = islice(read_documents(corpus.path / f"{split}.jsonl"), number)
    return [document.text for document in documents]


def test_a_text_is_shorter_and_its_new_tokens_stand_for_the_old_ones(base, corpus, tmp_path):
    made = extended(base, corpus, tmp_path / "out", num_learnt=60)
    if "sentence" in base.path.name or tokenizer_in(base.path).token_to_id("▁a") is not None:
        assert made.vocab_size >= base.vocab_size  # of single bytes alone no letters are made
    else:
        assert made.vocab_size == base.vocab_size + 60
    old, new = tokenizer_in(base.path), tokenizer_in(made.path)
    fewer = 0
    for text in [*texts_of(corpus, "test"), "naïve  a a\n\tb — 日本 a", ""]:
        before, after = old.encode(text).ids, new.encode(text).ids
        assert in_old_tokens(made, after) == before
        assert new.decode(after) == old.decode(before)
        fewer += len(before) - len(after)
    assert fewer > 0


def test_the_tokens_are_those_that_byte_pair_encoding_would_learn(corpus, tmp_path):
    """Counted anew after every merge, by nothing but the definition."""
    base = byte_level(tmp_path / "base")
    made = extended(base, corpus, tmp_path / "out", num_learnt=12)
    tokenizer = tokenizer_in(base.path)
    words = words_of(tokenizer, texts_of(corpus, "train", 10_000))
    names = {index: token for token, index in tokenizer.get_vocab().items()}
    spelled = Counter[tuple[str, ...]]()
    for word, count in words.items():
        spelled[tuple(names[index] for index in word)] += count
    expected = []
    for _ in range(12):
        pairs = Counter[tuple[str, str]]()
        for word, count in spelled.items():
            for pair in pairwise(word):
                pairs[pair] += count
        best = max(pairs.values())
        token = next(t for t in read_new_tokens(made.path) if t.token not in expected).token
        assert best == max(n for pair, n in pairs.items() if "".join(pair) == token)
        chosen = next(pair for pair, n in pairs.items() if n == best and "".join(pair) == token)
        expected.append(token)
        merged = Counter[tuple[str, ...]]()
        for word, count in spelled.items():
            parts: list[str] = []
            for part in word:
                if parts and (parts[-1], part) == chosen:
                    parts[-1] += part
                else:
                    parts.append(part)
            merged[tuple(parts)] += count
        spelled = merged
    assert [token.token for token in read_new_tokens(made.path)] == expected


@given(st.lists(st.text("abc", min_size=1, max_size=8), min_size=1, max_size=30))
def test_counts_stay_true_while_pairs_are_merged(texts):
    words = Counter(tuple(map(ord, text)) for text in texts)
    made: dict[int, tuple[int, int]] = {}

    def merged(pair: tuple[int, int]) -> int:
        made[1000 + len(made)] = pair
        return 999 + len(made)

    learn(words, 5, merged)
    now = [list(word) for word in words]
    times = list(words.values())
    for index, pair in made.items():
        counts = Counter[tuple[int, int]]()
        for word, count in zip(now, times, strict=True):
            for each in pairwise(word):
                counts[each] += count
        assert counts[pair] == max(counts.values()) >= 2
        for place, word in enumerate(now):
            parts: list[int] = []
            for part in word:
                if parts and (parts[-1], part) == pair:
                    parts[-1] = index
                else:
                    parts.append(part)
            now[place] = parts


def test_given_texts_are_a_token_each_wherever_they_stand(corpus, tmp_path):
    base = byte_level(tmp_path / "base")
    made = extended(base, corpus, tmp_path / "out", given=("<think>", "otter pup"))
    assert made.vocab_size == base.vocab_size + 2
    old, new = tokenizer_in(base.path), tokenizer_in(made.path)
    text = "An otter pup.<think>Why?"
    ids = new.encode(text).ids
    assert [new.id_to_token(n) for n in ids if n >= base.vocab_size] == ["otter pup", "<think>"]
    assert new.decode(ids) == text
    assert new.encode("Another text.").ids == old.encode("Another text.").ids
    lengths = byte_lengths(made.path, made.vocab_size)
    assert lengths[base.vocab_size :].tolist() == [7, 9]
    assert framing(made.path) == framing(base.path)


def test_a_tokenizer_that_sets_spaces_after_given_texts_gets_none(corpus, tmp_path):
    """Llama 2's reads what is after an added token as the beginning of a text."""
    base = sentence_piece(tmp_path / "base")
    with pytest.raises(ValueError, match=r"'x<think>x' would come back as 'x<think> x'"):
        extended(base, corpus, tmp_path / "out", given=("<think>",))


def test_what_others_load_gives_the_same_ids(corpus, tmp_path):
    base = byte_level(tmp_path / "base")
    (base.path / "vocab.json").write_text("{}")
    (base.path / "merges.txt").write_text("#version: 0.2\n")
    made = extended(base, corpus, tmp_path / "out", num_learnt=40, given=("<think>",))
    text = texts_of(corpus, "test")[0] + "<think>"
    theirs = AutoTokenizer.from_pretrained(made.path)
    assert theirs.encode(text, add_special_tokens=False) == tokenizer_in(made.path).encode(text).ids
    assert theirs.chat_template == foreign.CHATML
    assert not (made.path / "vocab.json").exists()


def test_how_much_shorter_held_out_text_is_stands_in_the_metrics(
    base, corpus, tmp_path, read_spool
):
    made = extended(base, corpus, tmp_path / "out", num_learnt=60)
    (_, before), (_, after) = read_spool(made.path)
    name = "validation_bytes_per_token"
    texts = texts_of(corpus, "validation", 10_000)
    num_bytes = sum(len(text.encode()) for text in texts)
    for found, folder in ((before, base.path), (after, made.path)):
        tokenizer = tokenizer_in(folder)
        tokens = sum(len(tokenizer.encode(t, add_special_tokens=False).ids) for t in texts)
        assert found[name] == pytest.approx(num_bytes / tokens)
    assert after[name] > before[name]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "It adds nothing"),
        ({"given": ("a", "a")}, "names a token twice"),
        ({"given": (" ",)}, "without a letter"),
    ],
)
def test_a_config_that_adds_nothing_is_refused(config, said):
    with pytest.raises(ValueError, match=said):
        ExtendVocabulary(**config)


def test_what_cannot_be_extended_is_refused(corpus, tmp_path):
    base = byte_level(tmp_path / "base")
    with pytest.raises(ValueError, match=r"has these tokens already: \['<\|im_end\|>'\]"):
        extended(base, corpus, tmp_path / "taken", given=("<|im_end|>",))
    one = tmp_path / "one"
    one.mkdir()
    for split in ("train", "validation", "test"):
        write_documents(one / f"{split}.jsonl", [Document(id="a/1", text="ab")])
    lonely = corpus.model_copy(update={"path": one})
    with pytest.raises(ValueError, match="No two tokens stand together twice"):
        extended(base, lonely, tmp_path / "lonely", num_learnt=5)
    words = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    foreign.save_tokenizer(words, tmp_path / "words", None)
    whole = Vocabulary(path=tmp_path / "words", vocab_size=2)
    with pytest.raises(ValueError, match=r"kind WordLevel has no merges .* \(given\)"):
        extended(whole, corpus, tmp_path / "refused", num_learnt=5)
    made = extended(whole, corpus, tmp_path / "given", given=("otter",))
    assert tokenizer_in(made.path).encode("a otter").ids == [0, 2]
    assert json.loads((made.path / "tokenizer.json").read_text())["model"]["vocab"]["otter"] == 2
