"""The report of a tokenizer: its numbers are counted anew, its page shows text as text."""

import json
import re
from html import unescape

import pytest
from tokenizers import Tokenizer

from components.core.artifacts.data import Corpus
from components.data.document import Document, read_documents, write_documents
from components.data.reports.vocabulary_page import Shown, Token, coloured
from components.data.vocabulary import TrainVocabulary
from components.data.vocabulary_report import ReportVocabulary, VocabularyReportInputs


def _corpus(folder, documents) -> Corpus:
    folder.mkdir()
    write_documents(folder / "validation.jsonl", documents)
    size = sum(len(document.text.encode()) for document in documents)
    number = {"validation": len(documents)}
    return Corpus(path=folder, num_documents=number, num_bytes={"validation": size})


@pytest.fixture
def report(tmp_path):
    def make(corpus, vocabulary, **options):
        out = tmp_path / "out"
        out.mkdir()
        inputs = VocabularyReportInputs(corpus=corpus, vocabulary=vocabulary)
        made = ReportVocabulary(**options).run(inputs, out)
        return made, json.loads((out / "report.json").read_text("utf-8"))

    return make


def test_its_numbers_are_those_of_the_encoded_documents(corpus, vocabulary, report):
    made, found = report(corpus, vocabulary, sample_bytes=1 << 30)
    tokenizer = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
    documents = list(read_documents(corpus.path / "validation.jsonl"))
    ids = [tokenizer.encode(d.text, add_special_tokens=False).ids for d in documents]
    num_tokens = sum(map(len, ids))
    assert made.bytes_per_token == corpus.num_bytes["validation"] / num_tokens
    assert made.tokens_per_word == num_tokens / sum(len(d.text.split()) for d in documents)
    assert (made.unknown_rate, made.round_trip_errors) == (0, 0)
    used = {index for row in ids for index in row}
    assert made.share_used == len(used) / 512 == found["use"]["share_used"]
    assert found["sample"]["tokens"] == num_tokens
    for domain in ("speeches", "library"):
        own = [n for n, d in enumerate(documents) if d.id.startswith(f"{domain}/")]
        size = sum(len(documents[n].text.encode()) for n in own)
        rate = size / sum(len(ids[n]) for n in own)
        assert made.bytes_per_token_by_domain[domain] == rate
        assert found["by_domain"][domain]["documents"] == len(own)


def test_languages_are_told_apart_and_a_tokenizer_of_english_serves_chinese_worse(
    tmp_path, vocabulary, report
):
    texts = {"en": "The people of the country are the government.", "zh": "人民是国家的主人" * 5}
    documents = [
        Document(id=f"web/{name}", text=text, metadata={"language": name})
        for name, text in texts.items()
    ]
    documents.append(Document(id="web/unsaid", text="No language is said."))
    made, _ = report(_corpus(tmp_path / "corpus", documents), vocabulary)
    assert set(made.bytes_per_token_by_language) == {"en", "zh"}
    assert made.bytes_per_token_by_language["zh"] == pytest.approx(1, abs=0.1)
    assert made.bytes_per_token_by_language["en"] > 1.5


def test_what_is_unknown_and_what_does_not_come_back_is_counted(tmp_path, vocabulary, report):
    content = json.loads((vocabulary.path / "tokenizer.json").read_text("utf-8"))
    words = {"[UNK]": 0, "the": 1, "people": 2, "house": 3}
    content |= {
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": words,
        },
    }
    folder = tmp_path / "wordpiece"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    documents = [
        Document(id="a/1", text="the people the people"),
        Document(id="a/2", text="the strange house is"),
    ]
    lossy = vocabulary.model_copy(update={"path": folder, "vocab_size": 4})
    made, found = report(_corpus(tmp_path / "corpus", documents), lossy)
    assert made.unknown_rate == 2 / 8
    assert made.round_trip_errors == 1
    assert found["round_trip_errors"]["ids"] == ["a/2"]
    assert found["use"]["most_used"] == [["the", 3], ["[UNK]", 2], ["people", 2], ["house", 1]]
    assert found["use"]["ids_used_once"] == 1
    assert found["use"]["ids_of_99_percent"] == 4


NASTY = "<script>alert(\"1\")</script> & <b title='x'>漢字 🏳️‍🌈</b>\n<|endoftext|> </pre>"


@pytest.mark.parametrize("kind", ["bpe", "character"])
def test_the_page_shows_every_sample_in_full_and_runs_none_of_it(
    tmp_path, corpus, vocabulary, report, kind
):
    if kind == "character":
        (tmp_path / kind).mkdir()
        train = TrainVocabulary(kind=kind, sample_bytes=60_000)
        vocabulary = train.run(corpus, tmp_path / kind)
    documents = [Document(id="<i>web</i>/1", text=NASTY)]
    made, _ = report(_corpus(tmp_path / "corpus", documents), vocabulary)
    page = (made.path / "report.html").read_text("utf-8")
    assert "<script" not in page
    assert "<b " not in page
    assert "<i>" not in page
    (shown,) = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
    assert unescape(re.sub(r"<[^>]+>", "", shown)).replace("↵\n", "\n") == NASTY
    assert len(re.findall("<span", shown)) > 20


def test_neighbours_differ_in_colour_and_tokens_of_one_character_are_one():
    tokens = [Token(5, "a", 0, 1), Token(6, "x", 1, 2), Token(7, "y", 1, 2), Token(8, "b", 3, 4)]
    assert coloured(Shown("a/1", "aé b.", tokens)) == (
        '<span class=t0 title="5 a">a</span><span class=t1 title="6 x 7 y">é</span> '
        '<span class=t2 title="8 b">b</span>.'
    )


def test_each_source_is_shown_in_turn_and_only_a_part_of_it(tmp_path, vocabulary, report):
    documents = [Document(id=f"a/{n}", text=f"{n} " + "word " * 500) for n in range(5)]
    documents += [Document(id="b/0", text="another source")]
    corpus = _corpus(tmp_path / "corpus", documents)
    made, _ = report(corpus, vocabulary, num_samples=3, sample_characters=50)
    page = (made.path / "report.html").read_text("utf-8")
    assert re.findall(r"<h3>(.*?)</h3>", page) == ["a/0", "b/0", "a/1"]
    assert len(page) < 20_000
