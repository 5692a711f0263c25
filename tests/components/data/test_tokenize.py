"""Token shards: decoded again they are the documents, whoever encoded them."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer

from components.core.artifacts import Corpus
from components.core.settings import settings
from components.data import tokenize
from components.data.document import Document, read_documents, write_documents
from components.data.split import SPLITS
from components.data.tokenize import Tokenize, TokenizeInputs
from components.lib.documents import DOCUMENT_IDS, DOCUMENT_STARTS, Documents
from components.lib.shards import BYTE_LENGTHS


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
    monkeypatch.setattr(tokenize, "_PIECE_BYTES", piece_bytes)
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
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert files
    return files


def test_a_line_of_the_corpus_that_is_no_document_is_an_error(vocabulary, tmp_path, out):
    corpus = _corpus(tmp_path / "corpus", ["a text"])
    (corpus.path / "train.jsonl").write_text(json.dumps({"txt": "a"}) + "\n")
    with pytest.raises(ValueError, match="txt"):
        Tokenize().run(TokenizeInputs(corpus=corpus, vocabulary=vocabulary), out)
