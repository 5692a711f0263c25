"""Decontamination: what a model is asked is not in what it learns, however it is written."""

import json
import re
from itertools import islice

import pytest

from components.core.artifacts.data import DocumentShards, EvaluationSets
from components.core.settings import settings
from components.data import decontaminate
from components.data.decontaminate import Decontaminate, DecontaminateInputs
from components.data.document import Document, write_documents, write_lines, write_shards
from components.data.overlap.index import EvaluationItem, Overlap
from components.data.overlap.items import Search
from components.data.overlap.planted import FORMS, FoundPlanted, measure, require_recall
from components.data.repository import speeches
from components.lib.tasks import microtasks

QUESTION = (
    "A robe takes 2 bolts of blue fiber and half that much white fiber. How many bolts in total "
    "does it take, and how much would they cost if a bolt of well-known make is \u00a33?"
)
QUESTIONS = [
    Document(id="1", text=QUESTION),
    Document(id="2", text="Which piece of safety equipment keeps mold spores from the lungs?"),
    Document(id="3", text="Why is photosynthesis the foundation of most food webs that we know?"),
]


def _documents(folder, documents: list[Document]) -> DocumentShards:
    write_documents(folder / "kept" / "00000.jsonl", documents)
    size = sum(len(document.text.encode()) for document in documents)
    return DocumentShards(path=folder, num_documents=len(documents), num_bytes=size, dropped={})


def _sets(folder, **sets: list[Document]) -> EvaluationSets:
    for name, documents in sets.items():
        write_shards(folder / name, documents, shard_bytes=100)
    return EvaluationSets(path=folder, revision="1.dir", names=tuple(sorted(sets)))


@pytest.fixture(scope="module")
def addresses() -> list[Document]:
    """Thirty pages of addresses of the 18th and 19th century."""
    return [
        Document(id=f"{speech.id}/{page}", text=speech.text[page * 3000 : page * 3000 + 3000])
        for speech in islice(speeches.documents(), 15)
        for page in range(2)
    ]


@pytest.fixture
def inputs(addresses, tmp_path):
    """Return a function that makes inputs of the addresses, more documents and evaluation sets."""

    def make(*more: Document, **sets: list[Document]) -> DecontaminateInputs:
        documents = _documents(tmp_path / "documents", [*addresses, *more])
        evaluation = _sets(tmp_path / "evaluation", **sets)
        return DecontaminateInputs(documents=documents, evaluation=evaluation)

    return make


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def _rows(out, name: str) -> list[dict]:
    files = sorted((out / name).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    "disguise",
    [
        lambda text: text,
        lambda text: re.sub(r"((\S+\s+){5}\S+)\s", r"\1\n", text),
        lambda text: text.replace(" ", "\n"),
        str.upper,
        lambda text: re.sub(r"[^\w\s]", "", text),
        lambda text: text.replace(" ", " - "),
        lambda text: text.replace("fiber", "fi-\nber").replace("total", "to\u00adtal"),
        lambda text: f"We were told of it. {text} Nobody knew.",
        lambda text: " ".join(text.split()[5:20]),
    ],
    ids=["verbatim", "six", "lines", "upper", "bare", "dashes", "hyphens", "embedded", "part"],
)
def test_a_document_with_a_question_goes_however_it_is_written(inputs, addresses, out, disguise):
    bad = Document(id="bad", text=disguise(QUESTION), metadata={"year": 2021})
    found = Decontaminate().run(inputs(bad, gsm=QUESTIONS), out)
    assert [row["id"] for row in _rows(out, "kept")] == [document.id for document in addresses]
    (reject,) = _rows(out, "rejects")
    assert (reject["id"], reject["text"], reject["reason"]) == ("bad", bad.text, "overlaps gsm")
    assert reject["metadata"]["evaluation_items"] == "gsm/1"
    assert reject["metadata"]["matching_words"] in bad.text
    assert len(reject["metadata"]["matching_words"].split()) >= 13
    assert reject["metadata"]["year"] == 2021
    assert found.dropped == {"overlaps gsm": 1}
    assert found.num_documents == len(addresses)
    assert found.num_bytes == sum(len(document.text.encode()) for document in addresses)


def test_a_part_of_an_address_is_missed_by_none_of_its_forms(inputs, addresses, out):
    items = [Document(id=d.id, text=d.text[1000:2000]) for d in addresses[::3]]
    found = Decontaminate().run(inputs(pages=items), out)
    assert {row["id"] for row in _rows(out, "rejects")} == {item.id for item in items}
    by_form = {row.form: row for row in found.planted}
    assert set(by_form) == {*FORMS, "embedded"}
    for form, row in by_form.items():
        assert row.planted == 100, "ten items, and sentences of the documents"
        assert row.recall == 1 or form == "paraphrased"
        assert row.precision == 1
    assert 0 < by_form["paraphrased"].recall < 1
    told = json.loads((out / "planted.json").read_text("utf-8"))
    assert told["planted"] == {"evaluation_items": 10, "sentences_of_documents": 90}
    assert all(form["clean_documents"] >= 5 for form in told["forms"])


def test_passages_are_cut_out_with_a_margin_and_fragments_are_documents(inputs, out):
    before, after = "Alpha beta gamma. " * 40, "Delta epsilon. " * 40
    texts = {"mid": before + QUESTION + after, "all": QUESTION, "end": before + QUESTION}
    bad = [Document(id=name, text=text, metadata={"year": 1}) for name, text in texts.items()]
    step = Decontaminate(action="cut_out", margin_characters=100, min_fragment_characters=300)
    found = step.run(inputs(*bad, gsm=QUESTIONS), out)
    kept = {row["id"]: row for row in _rows(out, "kept")[30:]}
    assert list(kept) == ["mid#0", "mid#1", "end#0"]
    assert kept["mid#0"]["text"] == kept["end#0"]["text"] == before[:-100].strip()
    assert after.endswith(kept["mid#1"]["text"] + " ")
    assert len(after) - 105 <= len(kept["mid#1"]["text"]) <= len(after) - 95
    assert kept["mid#0"]["metadata"] == {"year": 1}
    assert {row["id"]: row["text"] for row in _rows(out, "rejects")} == texts
    assert found.counts["fragments"] == 3
    assert found.num_documents == 33


def test_passages_whose_margins_meet_leave_no_fragment_between_them():
    step = Decontaminate(action="cut_out", margin_characters=10, min_fragment_characters=5)
    text = "abcdefghij" * 10
    assert step.fragments(text, [(20, 30), (55, 60)]) == [text[:10], text[40:45], text[70:]]
    assert step.fragments(text, [(20, 30), (45, 60)]) == [text[:10], text[70:]]
    assert step.fragments(text, [(0, 100)]) == []
    many = [(start, start + 1) for start in range(15, 400, 30)]
    assert step.fragments("x" * 400, many) == [], "in more than ten pieces it is nothing any more"


def test_without_evaluation_items_the_same_files_are_passed_on(inputs, addresses, out):
    given = inputs()
    found = Decontaminate().run(given, out)
    (file,) = (out / "kept").iterdir()
    assert file.samefile(given.documents.path / "kept" / file.name), "no bytes were copied"
    assert (found.num_documents, found.num_bytes) == (
        given.documents.num_documents,
        given.documents.num_bytes,
    )
    assert found.counts["evaluation_items"] == 0
    assert found.dropped == {}
    Decontaminate().run(given, out)
    assert len((given.documents.path / "kept" / file.name).read_text().splitlines()) == 30


def test_held_out_micro_tasks_are_looked_for_and_short_ones_are_counted(inputs, out):
    tasks = [
        task
        for task in microtasks.generate(5, 400, tasks=("lookup", "copy"), levels=(1, 3))
        if microtasks.split_of(task) == "test"
    ]
    long = max(tasks, key=lambda task: len(task.prompt))
    given = inputs(Document(id="bad", text=f"Tables:\n{long.prompt.upper()}\n{long.completion}"))
    write_lines(given.evaluation.path / "test.jsonl", [t.model_dump() for t in tasks])
    found = Decontaminate().run(given, out)
    assert [row["metadata"]["evaluation_items"] for row in _rows(out, "rejects")] == [
        f"instructions/{long.id}"
    ]
    letters = [sum(map(str.isalnum, task.prompt)) for task in tasks]
    assert found.counts["evaluation_items"] == len(tasks)
    assert found.counts["evaluation_items_too_short"] == sum(n < 32 for n in letters) > 0


def test_ngrams_of_many_documents_are_boilerplate_if_one_says_so(inputs, out):
    phrase = "by the Senate and House of Representatives of the United States of America assembled"
    items = [Document(id="x", text=f"{phrase} which ship first crossed the northern passage alone")]
    common = [Document(id=f"common/{n}", text=f"Be it enacted {phrase}: {n}") for n in range(4)]
    given = inputs(*common, Document(id="bad", text=items[0].text), quiz=items)
    Decontaminate().run(given, out)
    assert [row["id"] for row in _rows(out, "rejects")] == [*(d.id for d in common), "bad"]
    Decontaminate(search=Search(common_in=4)).run(given, out)
    assert [row["id"] for row in _rows(out, "rejects")] == ["bad"]


def _measured(addresses, as_read) -> FoundPlanted:
    """What the search finds of the questions among the addresses, if texts are read like this."""
    items = [EvaluationItem("gsm", question.id, question.text) for question in QUESTIONS]
    search, index = Search(), Overlap.build(items, 13)
    return measure(search, index, items, [address.text for address in addresses], as_read)


def test_a_search_that_loses_rewrapped_text_stops_the_line(addresses, tmp_path):
    measured = _measured(addresses, lambda text: text.split("\n")[0])
    measured.write(tmp_path)
    with pytest.raises(ValueError, match=r"re-wrapped 0\.\d+ \(\d+ of \d+\).*min_recall is 0.99"):
        require_recall(Search(), measured.rows)
    assert json.loads((tmp_path / "planted.json").read_text("utf-8"))["forms"][1]["missed"]
    require_recall(Search(), _measured(addresses, str).rows)


def test_a_search_that_finds_what_is_not_there_shows_in_the_precision(addresses):
    measured = _measured(addresses, lambda text: f"{QUESTIONS[0].text} {text}")
    assert all(row.false_alarms > 0 for row in measured.rows)
    assert all(row.precision < 1 for row in measured.rows)


def test_a_second_attempt_overwrites_what_the_first_one_left(inputs, out):
    given = inputs(Document(id="bad", text=QUESTION), gsm=QUESTIONS)
    first = Decontaminate().run(given, out)
    files = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    (out / "kept" / "00007.jsonl").write_text("left by a crash")
    (out / ".index").mkdir()
    assert Decontaminate().run(given, out) == first
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == files


@pytest.mark.ray
@pytest.mark.slow
def test_workers_find_what_one_process_finds(inputs, out, tmp_path, home, monkeypatch):
    home.mkdir()
    monkeypatch.setattr(decontaminate, "PIECE_BYTES", 40_000)
    given = inputs(Document(id="bad", text=QUESTION), gsm=QUESTIONS)
    one = Decontaminate().run(given, out)
    files = {file.relative_to(out): file.read_bytes() for file in out.rglob("*.json*")}
    assert len(files) > 4
    monkeypatch.setenv("BLOOMERY_RAY_ADDRESS", "local")
    settings.cache_clear()
    (other := tmp_path / "other").mkdir()
    many = Decontaminate().run(given, other)
    assert {file.relative_to(other): file.read_bytes() for file in other.rglob("*.json*")} == files
    assert many.model_dump(exclude={"path", "fingerprint"}) == one.model_dump(
        exclude={"path", "fingerprint"}
    )
