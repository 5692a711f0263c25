"""The scan reads what is trained on: nobody has to declare what it finds."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from components.core.artifacts.data import Corpus, EvaluationSets, TokenShards, Vocabulary
from components.data.document import Document, read_documents, write_documents, write_lines
from components.data.overlap.items import Search
from components.data.scan import Scan, ScanInputs
from components.data.split import SPLITS
from components.data.tokenize import Tokenize, TokenizeInputs
from components.data.tokens.decoding import DecodedDocuments, Decoder
from components.lib.examples import documents as document_index

QUESTION = (
    "Janet\u2019s ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes "
    "muffins for her friends every day with four. She sells the remainder at the farmers' market."
)
FEW = Search(num_planted=20)


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def asked(tmp_path) -> EvaluationSets:
    """An evaluation set `gsm` of two questions, which no document of the corpus holds."""
    other = "A robe takes 2 bolts of blue fiber and half that much white fiber: how many bolts?"
    items = [Document(id="0", text=QUESTION), Document(id="1", text=other)]
    write_documents(tmp_path / "evaluation" / "gsm" / "documents.jsonl", items)
    return EvaluationSets(path=tmp_path / "evaluation", revision="1.dir", names=("gsm",))


@pytest.fixture
def trained_on(corpus, vocabulary, tmp_path):
    """Return a function that makes token shards of the corpus and of documents it never held."""

    def make(*hidden: Document) -> TokenShards:
        folder, shards = tmp_path / "corpus", tmp_path / "shards"
        shards.mkdir()
        for split in SPLITS:
            known = list(read_documents(corpus.path / f"{split}.jsonl"))
            more = hidden if split == "train" else ()
            write_documents(folder / f"{split}.jsonl", [*known[:3], *more, *known[3:]])
        made = Corpus(path=folder, num_documents={}, num_bytes={})
        inputs = TokenizeInputs(corpus=made, vocabulary=vocabulary)
        return Tokenize(shard_tokens=20_000).run(inputs, shards)

    return make


def test_a_question_in_the_shards_stops_the_line_however_it_is_wrapped(
    trained_on, vocabulary, asked, out
):
    wrapped = QUESTION.replace(" ", "\n").replace("muffins", "muf-\nfins").upper()
    shards = trained_on(
        Document(id="web/1", text=f"Good morning. {QUESTION} That was all."),
        Document(id="web/2", text=wrapped),
        Document(id="web/3", text=" ".join(QUESTION.split()[:11])),
    )
    inputs = ScanInputs(shards=shards, vocabulary=vocabulary, evaluation=asked, search=FEW)
    with pytest.raises(ValueError, match=r"^2 of .* web/1 holds gsm/0; web/2 holds gsm/0\."):
        Scan().run(inputs, out)
    told = json.loads((out / "scan.json").read_text("utf-8"))
    assert [row["id"] for row in told["documents"]] == ["web/1", "web/2"]
    assert told["documents"][0]["words"] == QUESTION[:-1]
    assert told["documents"][1]["words"] == wrapped[:-1]
    assert told["contaminated"] == {"gsm": 2}
    with pytest.raises(ValueError, match="max_contaminated is 1"):
        Scan(max_contaminated=1).run(inputs, out)
    report = Scan(max_contaminated=2).run(inputs, out)
    assert (report.num_contaminated, report.contaminated) == (2, {"gsm": 2})
    common = Search(num_planted=20, common_in=1)
    forgiving = inputs.model_copy(update={"search": common})
    assert Scan().run(forgiving, out).num_contaminated == 0


def test_clean_shards_pass_with_the_recall_of_what_was_planted(
    shards, vocabulary, corpus, evaluation, asked, out
):
    tasks = (evaluation.path / "test.jsonl").read_text("utf-8")
    (asked.path / "test.jsonl").write_text(tasks, "utf-8")
    inputs = ScanInputs(shards=shards, vocabulary=vocabulary, evaluation=asked, search=FEW)
    report = Scan().run(inputs, out)
    assert report.num_documents == corpus.num_documents["train"]
    assert report.num_contaminated == 0
    assert report.counts["evaluation_items"] == len(tasks.splitlines()) + 2
    for row in report.planted:
        assert row.planted == 20
        assert row.recall == 1 or row.form == "paraphrased"
        assert row.precision == 1
    assert {row.form for row in report.planted} >= {"re-wrapped", "re-cased", "embedded"}
    assert not (out / ".index").exists()


def test_shards_decode_to_the_documents_wherever_a_shard_ends(corpus, shards, vocabulary):
    for split in SPLITS:
        documents = DecodedDocuments(shards.path / split, vocabulary.path)
        texts = [d.text for d in read_documents(corpus.path / f"{split}.jsonl")]
        assert [text for _, text in documents.read(0, len(documents))] == texts
        for piece in documents.pieces():
            assert [n for n, _ in documents.read(piece.start, piece.end)] == list(
                range(piece.start, piece.end)
            )
    assert len(list((shards.path / "train").glob("shard_*"))) > 2


def test_bytes_of_tokens_are_what_the_tokenizer_decodes(vocabulary):
    decoder = Decoder(vocabulary.path)
    tokenizer = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
    text = "Ünïcode \u2028 \x00 ﬁ 床前明月光 😀 <|endoftext|> tab\there"
    assert decoder.is_exact
    assert decoder.again(text) == text
    ids = np.arange(vocabulary.vocab_size)
    for row in (ids, ids[::-1], np.repeat(ids, 2)):
        assert decoder.texts([row]) == [tokenizer.decode(row.tolist(), skip_special_tokens=True)]


def _word_pieces(folder, texts: list[str]) -> Vocabulary:
    """Train a vocabulary that lowers case, and knows neither digits nor letters beyond ASCII."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["<|endoftext|>", "[UNK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    known = ("".join(c for c in text if c.isascii() and not c.isdigit()) for text in texts)
    tokenizer.train_from_iterator(known, trainer)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return Vocabulary(path=folder, vocab_size=tokenizer.get_vocab_size())


def _encoded(folder, vocabulary: Vocabulary, texts: list[str]) -> TokenShards:
    tokenizer = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
    rows = [[*tokenizer.encode(text, add_special_tokens=False).ids, 0] for text in texts]
    (folder / "train").mkdir(parents=True)
    np.save(folder / "train" / "shard_00000.npy", np.concatenate(rows).astype(np.uint16))
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    np.save(folder / "train" / document_index.DOCUMENT_STARTS, starts)
    names = "".join(f'"text/{n}"\n' for n in range(len(texts)))
    (folder / "train" / document_index.DOCUMENT_IDS).write_text(names)
    return TokenShards(path=folder, vocab_size=600, num_tokens={}, num_bytes={})


def test_a_vocabulary_that_loses_letters_hides_no_question(corpus, asked, tmp_path, out):
    texts = [document.text for document in read_documents(corpus.path / "train.jsonl")]
    vocabulary = _word_pieces(tmp_path / "vocabulary", texts)
    assert not Decoder(vocabulary.path).is_exact
    assert "16" not in Decoder(vocabulary.path).again(QUESTION)
    clean = _encoded(tmp_path / "clean", vocabulary, texts)
    inputs = ScanInputs(shards=clean, vocabulary=vocabulary, evaluation=asked, search=FEW)
    report = Scan().run(inputs, out)
    assert all(row.recall == 1 for row in report.planted if row.form != "paraphrased")
    bad = _encoded(tmp_path / "bad", vocabulary, [*texts, f"So:\n{QUESTION.upper()}"])
    with pytest.raises(ValueError, match=rf"text/{len(texts)} holds gsm/0"):
        Scan().run(inputs.model_copy(update={"shards": bad}), out)


def test_shards_without_an_index_of_documents_are_refused(shards, vocabulary, asked, tmp_path, out):
    write_lines(tmp_path / "old" / "train" / "nothing.jsonl", [])
    old = shards.model_copy(update={"path": tmp_path / "old"})
    with pytest.raises(ValueError, match="has no document_starts"):
        Scan().run(ScanInputs(shards=old, vocabulary=vocabulary, evaluation=asked), out)
