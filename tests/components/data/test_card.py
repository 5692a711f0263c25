"""The card says what the files hold, and shows what came from data as text."""

import json
from html.parser import HTMLParser
from itertools import islice

import pytest

from components.core.artifacts.data import (
    ContaminationReport,
    Corpus,
    Documents,
    DocumentShards,
    Planted,
)
from components.core.files import sha256
from components.data.card import Card, CardInputs
from components.data.clean import Clean
from components.data.deduplicate import Deduplicate, DeduplicateInputs
from components.data.document import Document, write_documents
from components.data.repository import speeches
from components.data.split import SPLITS, Split
from dashboards.text.card import markdown

EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def inputs(shards, tmp_path_factory) -> CardInputs:
    """Sixty paragraphs with markup in them, two copies and a short one; the tokens are others'."""
    folder = tmp_path_factory.mktemp("card")
    paragraphs = (p for speech in speeches.documents() for p in speech.text.split("\n\n"))
    texts = [f"{EVIL} {text}" for text in islice((p for p in paragraphs if len(p) > 500), 60)]
    documents = [
        *(Document(id=f"one/{n}", text=text) for n, text in enumerate(texts[:40])),
        Document(id="one/copy", text=texts[3]),
    ]
    write_documents(folder / "given" / "one" / "documents.jsonl", documents)
    others = [*(Document(id=f"two/{n}", text=text) for n, text in enumerate(texts[40:]))]
    others += [Document(id="two/copy", text=texts[41]), Document(id="two/short", text=EVIL)]
    write_documents(folder / "given" / "two" / "documents.jsonl", others)
    given = Documents(path=folder / "given", revision="9.dir", sources=("one", "two"))
    for name in ("clean", "distinct", "corpus"):
        (folder / name).mkdir()
    clean = Clean().run(given, folder / "clean")
    distinct = Deduplicate().run(DeduplicateInputs(documents=clean), folder / "distinct")
    planted = (
        Planted(form="re-wrapped", planted=200, found=199, false_alarms=1, due=100, due_found=99),
        Planted(form="too short to embed", planted=0, found=0),
    )
    measured = distinct.model_copy(update={"planted": planted, "dropped": {}, "by_source": {}})
    corpus = Split(validation_percent=20, test_percent=20).run(distinct, folder / "corpus")
    return CardInputs(
        documents=given,
        clean=clean,
        deduplicate=distinct,
        decontaminate=measured,
        mask=distinct.model_copy(update={"dropped": {}, "counts": {"masked:email": 0}}),
        corpus=corpus,
        shards=shards,
        scan=ContaminationReport(
            path=folder,
            num_documents=40,
            num_contaminated=2,
            contaminated={"quiz": 2},
            counts={"evaluation_items": 7},
            planted=(Planted(form="embedded", planted=50, found=50),),
        ),
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def card(inputs, out):
    return Card(num_samples=2).run(inputs, out)


@pytest.fixture(scope="module")
def content(card):
    return json.loads((card.path / "report" / "card.json").read_text("utf-8"))


def test_the_funnel_counts_every_document_once(content, inputs):
    assert [row["documents"] for row in content["funnel"]] == [63, 62, 60, 60, 60]
    assert content["funnel"][1]["dropped"] == {"short": 1}
    assert content["funnel"][2]["dropped"] == {"duplicate": 2}
    by_source = content["funnel_by_source"]
    assert [rows[0]["documents"] for rows in by_source.values()] == [41, 22]
    assert content["revision"] == inputs.documents.revision


def test_the_measures_are_those_of_the_files(card, content, inputs):
    corpus: Corpus = inputs.corpus
    assert card.num_documents == 60 == sum(corpus.num_documents.values())
    assert card.measures["contaminated"] == 2
    assert card.measures["duplicate_rate"] == pytest.approx(2 / 62)
    assert card.measures["drop_rate.clean"] == pytest.approx(1 / 63)
    assert card.measures["source.two"] == pytest.approx(20 / 60)
    assert {name: row["documents"] for name, row in content["splits"].items()} == {
        name: corpus.num_documents[name] for name in SPLITS
    }


def test_every_file_of_tokens_is_hashed(content, inputs):
    files = {
        file.relative_to(inputs.shards.path).as_posix(): sha256(file)
        for file in inputs.shards.path.rglob("*")
        if file.is_file()
    }
    assert content["shards"] == files


def test_recall_and_precision_are_told_in_percent(content):
    (row,) = content["planted"]["decontaminate"]
    assert content["planted"]["scan"][0]["recall_percent"] == 100.0
    assert (row["recall_percent"], row["precision_percent"]) == (99.5, 99.5)


def test_of_what_must_be_found_the_share_is_told_apart(content):
    (row,) = content["planted"]["decontaminate"]
    assert (row["due"], row["due_recall_percent"]) == (100, 99.0)
    assert content["planted"]["scan"][0]["due_recall_percent"] is None
    assert "100: 99.0 %" in markdown(content)


def test_samples_show_what_was_kept_and_each_reason_to_drop(content):
    assert [sample["id"] for sample in content["kept"]] != []
    assert [(s["id"], s["reason"]) for s in content["dropped"]["clean"]] == [("two/short", "short")]
    assert [s["id"] for s in content["dropped"]["deduplicate"]] == ["one/copy", "two/copy"]


class Page(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.text = list[str](), ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data):
        self.text += data


def test_the_page_shows_markup_of_documents_as_text(card):
    page = Page()
    page.feed((card.path / "report" / "card.html").read_text("utf-8"))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert EVIL in page.text
    for shown in ("60 documents", "9.dir", "two/short", "re-wrapped", "masked:email", "99.5 %"):
        assert shown in page.text


def test_made_again_it_is_the_same(inputs, out, card):
    before = (out / "report" / "card.html").read_bytes()
    assert Card(num_samples=2).run(inputs, out) == card
    assert (out / "report" / "card.html").read_bytes() == before


def test_documents_that_are_all_dropped_have_a_card_too(inputs, tmp_path):
    nothing = DocumentShards(path=tmp_path, num_documents=0, num_bytes=0, dropped={"short": 5})
    steps = dict.fromkeys(("clean", "deduplicate", "decontaminate", "mask"), nothing)
    card = Card().run(inputs.model_copy(update=steps), tmp_path)
    assert card.measures["drop_rate.clean"] == 1.0
