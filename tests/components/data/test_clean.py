"""Cleaning: what is dropped keeps its text and its reason."""

import json
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py3langid.langid import LanguageIdentifier

from components.core.artifacts.data import Documents
from components.data.clean import WEB, Clean
from components.data.document import Document, document_files, write_documents, write_shards
from components.data.pieces import documents_of
from components.data.repository import speeches

LENIENT = Clean(min_characters=20)


def _given(folder, **sources: list[Document]) -> Documents:
    for name, documents in sources.items():
        write_documents(folder / name / "documents.jsonl", documents)
    return Documents(path=folder, revision="1.dir", sources=tuple(sorted(sources)))


def _paragraphs(number: int) -> list[Document]:
    """Return real paragraphs of at least 20 characters, each other."""
    found: dict[str, Document] = {}
    for speech in islice(speeches.documents(), 20):
        for place, text in enumerate(speech.text.split("\n\n")):
            if len(text) > 60:
                found.setdefault(text, Document(id=f"{speech.id}/{place}", text=text))
    return list(found.values())[:number]


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_a_document_is_kept_or_among_the_rejects_with_the_reason(out, tmp_path):
    paragraphs = _paragraphs(60)
    bad = [Document(id="empty", text=" \n\x00\t "), Document(id="short", text="Too short.")]
    given = _given(tmp_path / "given", one=paragraphs[:30], two=paragraphs[30:] + bad)
    shards = LENIENT.run(given, out)
    assert [d.id for d in documents_of(shards)] == [d.id for d in paragraphs]
    assert shards.dropped == {"empty": 1, "short": 1}
    (file,) = [f for f in (out / "rejects").glob("*.jsonl") if f.stat().st_size]
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert {row["id"]: row["reason"] for row in rows} == {"empty": "empty", "short": "short"}


def test_the_documents_of_all_files_of_a_source_are_read_in_order(out, tmp_path):
    paragraphs = _paragraphs(12)
    write_shards(tmp_path / "given" / "one", paragraphs, shard_bytes=1000)
    assert len(document_files(tmp_path / "given" / "one")) > 2
    shards = LENIENT.run(
        Documents(path=tmp_path / "given", revision="1.dir", sources=("one",)), out
    )
    assert [d.id for d in documents_of(shards)] == [d.id for d in paragraphs]


def _one(out, tmp_path, step: Clean, *documents: Document):
    """Clean one source; return the shards, the kept documents and the rejects by id."""
    given = _given(tmp_path / "given", one=list(documents))
    shards = step.run(given, out)
    rows = [json.loads(line) for file in (out / "rejects").iterdir() for line in file.open()]
    return shards, list(documents_of(shards)), {row["id"]: row for row in rows}


SPEECH = next(iter(speeches.documents())).text


def test_a_garbled_document_is_repaired_and_counted(out, tmp_path):
    garbled = f"The President\u2019s caf\u00e9. {SPEECH}".encode().decode("latin-1")
    shards, kept, _ = _one(out, tmp_path, Clean(), Document(id="a", text=garbled))
    assert kept[0].text.startswith("The President\u2019s caf\u00e9. ")
    assert shards.counts["encoding repaired"] == 1
    _, kept, _ = _one(out, tmp_path, Clean(repair_encoding=False), Document(id="a", text=garbled))
    assert "\u2019" not in kept[0].text


def test_binary_and_enormous_documents_are_dropped_whole(out, tmp_path):
    binary = bytes(range(256)).decode("latin-1") * 10
    bad = [Document(id="binary", text=binary), Document(id="long", text="word " * 1_000)]
    step = Clean(max_characters=4_000)
    shards, kept, rejects = _one(out, tmp_path, step, *bad, Document(id="ok", text=SPEECH[:3_000]))
    assert shards.dropped == {"binary": 1, "too long": 1}
    assert [document.id for document in kept] == ["ok"]
    assert rejects["binary"]["text"] == binary


def test_web_pages_become_text_if_they_are_declared_or_sniffed(out, tmp_path):
    prose = SPEECH.split("\n\n")[1]
    page = (
        "<!doctype html><html><head><title>Speech</title></head><body><nav><a href='/'>Home</a>"
        f"</nav><article><h1>A speech</h1><p>{prose}</p><p>{prose[::-1]}</p></article></body>"
    )
    url = {"format": "html", "url": "https://example.org/1"}
    pages = [
        Document(id="declared", text=page, metadata=url),
        Document(id="sniffed", text=page),
        Document(id="blank", text="<html><script>x</script></html>" * 20, metadata=url),
        Document(id="markdown", text=f"# A speech\n\n<b>{prose}</b>", metadata={"format": "md"}),
    ]
    shards, kept, _ = _one(out, tmp_path, Clean(), *pages)
    texts = {document.id: document.text for document in kept}
    assert texts["declared"].startswith("A speech\n")
    assert texts["sniffed"] == page
    assert texts["markdown"] == pages[3].text
    assert kept[0].metadata["hostname"] == "example.org"
    assert kept[0].metadata["title"] == "A speech"
    assert shards.dropped == {"no text in html": 1}
    shards, kept, _ = _one(out, tmp_path, Clean(sniff_html=True), *pages)
    assert {document.id: document.text for document in kept}["sniffed"] == texts["declared"]


def test_pages_whose_encoding_was_guessed_are_counted(out, tmp_path):
    guessed = {"format": "text", "guessed_encoding": "cp1251"}
    documents = [Document(id="a", text=SPEECH, metadata=guessed), Document(id="b", text=SPEECH)]
    shards, _, _ = _one(out, tmp_path, Clean(identify_language=False), *documents)
    assert shards.counts == {"encoding guessed": 1}


def test_languages_are_counted_and_kept_by_choice(out, tmp_path):
    german = "Der Mann ging am Abend mit seinem Hund an das Meer, und es war kalt. " * 5
    documents = [
        Document(id="en", text=SPEECH),
        Document(id="de", text=german),
        Document(id="??", text="0123 4567 " * 40),
    ]
    shards, kept, _ = _one(out, tmp_path, Clean(), *documents)
    assert len(kept) == 3
    assert shards.counts == {"language:de": 1, "language:en": 1, "language:unknown": 1}
    assert kept[1].metadata["language"] == "de"
    assert 65 <= kept[1].metadata["language_percent"] <= 100
    shards, kept, rejects = _one(out, tmp_path, Clean(languages=("en",)), *documents)
    assert [document.id for document in kept] == ["en", "??"]
    assert shards.dropped == {"other language": 1}
    assert rejects["de"]["metadata"]["language"] == "de"
    strict = Clean(languages=("en",), keep_unknown_language=False)
    assert _one(out, tmp_path, strict, *documents)[0].dropped["unknown language"] == 1


def test_a_language_that_is_no_code_is_refused_before_any_work(out, tmp_path):
    with pytest.raises(ValueError, match=r"\['eng'\]"):
        _one(out, tmp_path, Clean(languages=("eng",)), Document(id="a", text=SPEECH))


def test_text_from_the_web_passes_the_rules_of_its_preset_or_is_dropped_by_name(out, tmp_path):
    shouting = "BUY NOW! The best of the best, and to you with that. " * 40
    menu = "\n".join(f"The {word} of the shop" for word in SPEECH.split()[:200])
    shards, kept, rejects = _one(
        out,
        tmp_path,
        WEB,
        Document(id="speech", text=f"{SPEECH}\nThis website uses cookies."),
        Document(id="shouting", text=shouting),
        Document(id="menu", text=menu),
    )
    assert [document.id for document in kept] == ["speech"]
    assert "cookies" not in kept[0].text
    assert shards.counts["boilerplate: notices"] == 1
    assert rejects["shouting"]["reason"].startswith("gopher_repetition: ")
    assert len(rejects) == 2


def _failing(monkeypatch, bad: str) -> None:
    """Let the library that identifies languages fail on texts that hold `bad`, as a bug would."""
    classify = LanguageIdentifier.classify

    def fail(self: LanguageIdentifier, text: str) -> tuple[str, float]:
        if bad in text:
            raise RecursionError("too deep")
        return classify(self, text)

    monkeypatch.setattr(LanguageIdentifier, "classify", fail)


def test_a_document_on_which_a_filter_fails_is_dropped_and_the_rest_lives(
    out, tmp_path, monkeypatch
):
    _failing(monkeypatch, "poison")
    documents = [Document(id=str(n), text=SPEECH) for n in range(9)]
    poison = Document(id="poison", text=f"poison {SPEECH}")
    shards, kept, rejects = _one(out, tmp_path, Clean(), *documents, poison)
    assert shards.dropped == {"error: RecursionError": 1}
    assert rejects["poison"]["text"] == poison.text
    assert len(kept) == 9


def test_a_filter_that_fails_on_most_documents_stops_the_step(out, tmp_path, monkeypatch):
    _failing(monkeypatch, "")
    documents = [Document(id=str(n), text=SPEECH) for n in range(8)]
    with pytest.raises(ValueError, match="8 of 8 documents"):
        _one(out, tmp_path, Clean(), *documents)


@settings(max_examples=20, deadline=None)
@given(texts=st.lists(st.text(), max_size=5))
def test_whatever_the_text_each_document_is_kept_or_dropped(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    (folder / "out").mkdir()
    documents = [Document(id=str(n), text=text) for n, text in enumerate(texts)]
    step = Clean(min_characters=2, sniff_html=True, boilerplate=("notices", "license", "gutenberg"))
    shards = step.run(_given(folder / "given", one=documents), folder / "out")
    assert shards.num_documents + sum(shards.dropped.values()) == len(texts)
    assert not any(reason.startswith("error") for reason in shards.dropped)


def test_a_second_attempt_overwrites_what_the_first_one_left(out, tmp_path):
    given = _given(tmp_path / "given", a=_paragraphs(60))
    first = LENIENT.run(given, out)
    files = {file: file.read_bytes() for file in out.rglob("*.jsonl")}
    assert LENIENT.run(given, out) == first
    assert {file: file.read_bytes() for file in out.rglob("*.jsonl")} == files
