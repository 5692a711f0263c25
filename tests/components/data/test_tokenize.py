"""Token shards: decoded again they are the documents, whoever encoded them."""

import json
import logging
import sys

import fastokens
import numpy as np
import pytest
from tokenizers import Tokenizer

from components.core.artifacts.data import Corpus
from components.core.settings import settings
from components.data import tokenize
from components.data.document import Document, read_documents, write_documents
from components.data.split import SPLITS
from components.data.tokenize import Tokenize, TokenizeInputs
from components.data.tokens import encoders
from components.data.tokens.encoders import PROBES, encode_proved
from components.lib.examples.documents import DOCUMENT_IDS, DOCUMENT_STARTS, Documents
from components.lib.examples.shards import BYTE_LENGTHS, Sequences


def _stream(folder) -> np.ndarray:
    return np.concatenate([np.load(file) for file in sorted(folder.glob("shard_*.npy"))])


def _decoded(vocabulary, ids) -> list[str]:
    tokenizer = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
    end = tokenizer.token_to_id("<|endoftext|>")
    (ends,) = np.nonzero(ids == end)
    assert ends[-1] == len(ids) - 1, "the last document has no end"
    pieces = np.split(ids, ends[:-1] + 1)
    return [tokenizer.decode(piece[:-1].tolist(), skip_special_tokens=False) for piece in pieces]


def _corpus(folder, texts: list[str]) -> Corpus:
    folder.mkdir()
    for split in SPLITS:
        documents = [Document(id=f"{split}/{n}", text=text) for n, text in enumerate(texts)]
        write_documents(folder / f"{split}.jsonl", documents)
    size = sum(len(text.encode()) for text in texts)
    number = dict.fromkeys(SPLITS, len(texts))
    return Corpus(path=folder, num_documents=number, num_bytes=dict.fromkeys(SPLITS, size))


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_decoded_again_the_shards_are_the_documents_in_their_order(corpus, shards, vocabulary):
    for split in SPLITS:
        texts = [d.text for d in read_documents(corpus.path / f"{split}.jsonl")]
        ids = _stream(shards.path / split)
        assert _decoded(vocabulary, ids) == texts
        assert shards.num_tokens[split] == len(ids)
        lengths = np.load(shards.path / BYTE_LENGTHS)
        assert lengths[ids].sum() == shards.num_bytes[split] == corpus.num_bytes[split]


def test_shards_are_of_the_length_that_was_asked_but_for_the_last(shards):
    files = sorted((shards.path / "train").glob("shard_*"))
    assert [file.name for file in files[:2]] == ["shard_00000.npy", "shard_00001.npy"]
    arrays = [np.load(file) for file in files]
    assert [len(array) for array in arrays[:-1]] == [20_000] * (len(arrays) - 1)
    assert 0 < len(arrays[-1]) <= 20_000
    assert {array.dtype for array in arrays} == {np.dtype(np.uint16)}


def test_the_index_says_where_in_the_stream_each_document_lies(corpus, shards, vocabulary):
    tokenizer = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
    for split in SPLITS:
        documents = list(read_documents(corpus.path / f"{split}.jsonl"))
        ids, starts = _stream(shards.path / split), np.load(shards.path / split / DOCUMENT_STARTS)
        assert starts.dtype == np.int64
        assert (starts[0], starts[-1], len(starts)) == (0, len(ids), len(documents) + 1)
        names = (shards.path / split / DOCUMENT_IDS).read_text().splitlines()
        assert [json.loads(name) for name in names] == [document.id for document in documents]
        for document, start, end in zip(documents, starts[:-1], starts[1:], strict=True):
            assert tokenizer.decode(ids[start : end - 1].tolist()) == document.text


def test_an_id_may_hold_what_ends_a_line(vocabulary, tmp_path, out):
    corpus = _corpus(tmp_path / "corpus", ["one", "two"])
    names = ["a\nb\u2028c", "d\r\te\u0085"]
    documents = [Document(id=name, text="a text") for name in names]
    write_documents(corpus.path / "train.jsonl", documents)
    Tokenize().run(TokenizeInputs(corpus=corpus, vocabulary=vocabulary), out)
    assert Documents(out / "train").ids([1, 0]) == names[::-1]


def test_text_that_looks_like_a_special_token_is_text(vocabulary, tmp_path, out):
    texts = [
        "Before <|endoftext|> and after <|assistant|><|pad|>.",
        "<|endoftext|>",
        "\u2028 \u0085",
    ]
    inputs = TokenizeInputs(corpus=_corpus(tmp_path / "corpus", texts), vocabulary=vocabulary)
    Tokenize().run(inputs, out)
    ids = _stream(out / "train")
    assert _decoded(vocabulary, ids) == texts
    assert [int((ids == special).sum()) for special in range(4)] == [3, 0, 0, 0]


@pytest.mark.parametrize("piece_bytes", [1, 3000, 10**9])
def test_how_the_work_is_cut_does_not_show_in_the_files(
    corpus, vocabulary, shards, out, monkeypatch, piece_bytes
):
    monkeypatch.setattr(tokenize, "PIECE_BYTES", piece_bytes)
    Tokenize(shard_tokens=20_000).run(TokenizeInputs(corpus=corpus, vocabulary=vocabulary), out)
    assert _files(out) == _files(shards.path)


def test_another_shard_length_cuts_the_same_stream(corpus, vocabulary, shards, out):
    Tokenize(shard_tokens=777).run(TokenizeInputs(corpus=corpus, vocabulary=vocabulary), out)
    for split in SPLITS:
        assert np.array_equal(_stream(out / split), _stream(shards.path / split))
    assert len(list((out / "train").glob("shard_*"))) > 20


def test_a_second_attempt_overwrites_what_the_first_one_left(corpus, vocabulary, shards, out):
    (out / ".pieces").mkdir()
    (out / ".pieces" / "half").write_text("left by a crash")
    inputs = TokenizeInputs(corpus=corpus, vocabulary=vocabulary)
    Tokenize(shard_tokens=20_000).run(inputs, out)
    assert _files(out) == _files(shards.path)


@pytest.mark.ray
@pytest.mark.slow
def test_ray_writes_the_same_files_as_one_plain_process(
    corpus, vocabulary, shards, out, home, monkeypatch
):
    home.mkdir()
    monkeypatch.setenv("BLOOMERY_RAY_ADDRESS", "local")
    settings.cache_clear()
    Tokenize(shard_tokens=20_000).run(TokenizeInputs(corpus=corpus, vocabulary=vocabulary), out)
    assert _files(out) == _files(shards.path)


def _files(folder) -> dict[str, bytes]:
    made = [p for p in folder.rglob("*") if p.is_file() and p.name != "metrics.jsonl"]
    assert made
    return {str(p.relative_to(folder)): p.read_bytes() for p in made}


NASTY = [
    *PROBES,
    "form\x0cfeed  \x0c and \x1c\x1d\x1e\x1f 12\u180e34\U00011de5 \U00016ff4",
    "x" * 50_000 + "7" * 5_000 + " \n" * 5_000,
    "".join(f"{chr(c)} {chr(c)}" for c in range(0x20, 0x3000)),
    "".join(f"1{chr(c)}2 {chr(c)}a" for c in range(0xFB00, 0x10000)),
    "".join(map(chr, range(0x1F000, 0x1FB00))),
]


def _by_tokenizers(vocabulary, texts) -> np.ndarray:
    tokenizer = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    end = tokenizer.token_to_id("<|endoftext|>")
    ids = [[*tokenizer.encode(text, add_special_tokens=False).ids, end] for text in texts]
    return np.array([index for row in ids for index in row])


def test_the_shards_hold_what_plain_tokenizers_gives_for_nasty_and_for_plain_text(
    corpus, vocabulary, tmp_path, out
):
    texts = [*NASTY, *(d.text for d in read_documents(corpus.path / "test.jsonl"))]
    inputs = TokenizeInputs(corpus=_corpus(tmp_path / "corpus", texts), vocabulary=vocabulary)
    Tokenize().run(inputs, out)
    assert np.array_equal(_stream(out / "train"), _by_tokenizers(vocabulary, texts))


def _content(vocabulary) -> str:
    return (vocabulary.path / "tokenizer.json").read_text("utf-8")


def test_the_fast_encoder_serves_our_own_tokenizer_and_reads_every_alphabet_alike(vocabulary):
    saved, fast, refused = encoders.encoders(_content(vocabulary))
    assert fast is not None, refused
    letters = [chr(c) for c in range(0x20, 0x20000, 7) if not 0xD800 <= c < 0xE000]
    texts = [f"a{c}b {c}  {c}1{c}'s{c}{c} \n{c}" for c in letters]
    assert encoders.difference(fast, saved, [*NASTY, *texts]) is None


@pytest.fixture
def plant(monkeypatch, vocabulary):
    """Return a function that puts another tokenizer in the place of the one of `fastokens`."""

    def put(tokenizer):
        monkeypatch.setattr("fastokens.Tokenizer", tokenizer)
        encoders.encoders.cache_clear()

    yield put
    encoders.encoders.cache_clear()


def _assert_right_and_warned(corpus, vocabulary, shards, out, caplog, reason, read_spool):
    with caplog.at_level(logging.WARNING):
        Tokenize(shard_tokens=20_000).run(TokenizeInputs(corpus=corpus, vocabulary=vocabulary), out)
    assert _files(out) == _files(shards.path)
    assert reason in caplog.text
    ((_, counts),) = read_spool(out)
    assert counts["pieces"] >= counts["pieces_refused"] >= 1
    assert counts["tokens"] == sum(shards.num_tokens.values())


def test_an_encoder_of_another_tokenizer_is_refused_with_a_warning(
    corpus, vocabulary, shards, out, caplog, plant, read_spool
):
    """Its merges are in another order, so that only some texts are read otherwise."""

    class Reversed:
        @staticmethod
        def from_json_str(content: str) -> fastokens.Tokenizer:
            other = json.loads(content)
            other["model"]["merges"].reverse()
            return real.from_json_str(json.dumps(other))

    real = fastokens.Tokenizer
    plant(Reversed)
    reason = "fastokens is not used: it misreads"
    _assert_right_and_warned(corpus, vocabulary, shards, out, caplog, reason, read_spool)


def test_an_encoder_that_errs_in_one_piece_alone_is_trusted_with_none(
    corpus, vocabulary, shards, out, caplog, plant, monkeypatch, read_spool
):
    """It reads the probes well, and all documents but one."""
    monkeypatch.setattr(tokenize, "PIECE_BYTES", 10_000)
    (marked,) = [d.text for n, d in enumerate(read_documents(corpus.path / "test.jsonl")) if n == 1]
    real, taken = fastokens.Tokenizer, []

    class ErringOnce:
        def __init__(self, content: str) -> None:
            self._real = real.from_json_str(content)

        from_json_str = classmethod(lambda cls, content: cls(content))

        def encode_batch_flat(self, texts, **how):
            ids, offsets = self._real.encode_batch_flat(texts, **how)
            taken.extend(texts)
            is_wrong = any(len(text) > 200 and text in marked for text in texts)
            return (np.frombuffer(ids, np.uint32)[::-1].tobytes() if is_wrong else ids), offsets

    plant(ErringOnce)
    reason = "fastokens is not used: it misreads"
    _assert_right_and_warned(corpus, vocabulary, shards, out, caplog, reason, read_spool)
    train = {d.text for d in read_documents(corpus.path / "train.jsonl")}
    assert train & set(taken), "it was refused before it had a chance to err"


def test_without_the_fast_encoder_tokenizers_does_the_work(
    corpus, vocabulary, shards, out, caplog, plant, monkeypatch, read_spool
):
    encoders.encoders.cache_clear()
    monkeypatch.setitem(sys.modules, "fastokens", None)
    reason = "it is not installed"
    _assert_right_and_warned(corpus, vocabulary, shards, out, caplog, reason, read_spool)


def test_a_tokenizer_that_the_fast_encoder_does_not_take_is_encoded_by_tokenizers(vocabulary):
    content = json.loads(_content(vocabulary))
    vocab = [[token, -float(index)] for token, index in content["model"]["vocab"].items()]
    content["model"] = {"type": "Unigram", "unk_id": None, "vocab": vocab, "byte_fallback": False}
    encoded, refused = encode_proved(json.dumps(content), ["a text", "", "more"])
    assert "does not take this tokenizer" in refused
    assert len(encoded.lengths) == 3
    assert encoded.lengths.sum() == len(encoded.ids)


def test_a_vocabulary_that_uint16_cannot_hold_gives_shards_of_uint32(vocabulary, tmp_path, out):
    content = json.loads(_content(vocabulary))
    vocab = content["model"]["vocab"]
    moved = {token: index + 70_000 if index >= 6 else index for token, index in vocab.items()}
    content["model"]["vocab"] = moved
    large = tmp_path / "large"
    large.mkdir()
    (large / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    texts = ["A text of 1790, and more of it. " * 5, "漢字"]
    made = vocabulary.model_copy(update={"path": large, "vocab_size": 70_512})
    corpus = _corpus(tmp_path / "corpus", texts)
    shards = Tokenize(shard_tokens=40).run(TokenizeInputs(corpus=corpus, vocabulary=made), out)
    ids = _stream(out / "train")
    assert ids.dtype == np.uint32
    assert ids.max() >= 70_000
    assert _decoded(made, ids) == texts
    assert np.load(out / BYTE_LENGTHS)[ids].sum() == shards.num_bytes["train"]
    windows = Sequences(out / "train", 8).windows(np.arange(2))
    assert np.array_equal(windows.ravel()[:9], ids[:9])


def test_a_line_of_the_corpus_that_is_no_document_is_an_error(vocabulary, tmp_path, out):
    corpus = _corpus(tmp_path / "corpus", ["a text"])
    (corpus.path / "train.jsonl").write_text(json.dumps({"txt": "a"}) + "\n")
    with pytest.raises(ValueError, match="txt"):
        Tokenize().run(TokenizeInputs(corpus=corpus, vocabulary=vocabulary), out)
