"""Deduplication: one of each, the first, and every other one with its reason."""

import json
import random

import numpy as np
import pytest

from components.core.artifacts.data import DocumentShards
from components.core.settings import settings
from components.data import deduplicate
from components.data.deduplicate import Deduplicate, DeduplicateInputs
from components.data.document import Document, write_documents
from components.data.duplicates.planted import change_words
from components.data.pieces import documents_of
from components.data.repository import speeches


def shards_of(folder, *files):
    """Write documents as what a step before would have kept."""
    for number, documents in enumerate(files):
        write_documents(folder / "kept" / f"{number:05d}.jsonl", documents)
    return DocumentShards(path=folder, num_documents=0, num_bytes=0, dropped={})


def distinct(documents, out, known=None, **fields):
    out.mkdir(parents=True)
    inputs = DeduplicateInputs(documents=documents, known=known)
    return Deduplicate(**{"num_planted": 0, **fields}).run(inputs, out)


def rejects(shards):
    files = sorted((shards.path / "rejects").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.open(encoding="utf-8")]


def ids(shards):
    return [document.id for document in documents_of(shards)]


def files_of(shards):
    return {
        file.relative_to(shards.path): file.read_bytes()
        for file in sorted(shards.path.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def passages():
    """90 passages of addresses, of 60 to 300 words, from one each."""
    rng = random.Random(5)
    words = [document.text.split() for document in speeches.documents()][::2][:90]
    return [" ".join(text[200 : 200 + rng.randint(60, 300)]) for text in words]


@pytest.fixture(scope="module")
def mixed(passages):
    """The passages among copies, changed ones, longer ones that hold one, and chains of change."""
    rng = random.Random(6)
    texts = [(f"p{n}", text) for n, text in enumerate(passages)]
    for n in range(0, 90, 3):
        changed = change_words(passages[n], 0.05, rng)
        texts += [
            (f"copy{n}", passages[n].upper()),
            (f"changed{n}", changed),
            (f"drifted{n}", change_words(changed, 0.08, rng)),
            (f"again{n}", changed.replace(" ", "\n")),
        ]
        if n % 2:
            texts.append((f"longer{n}", passages[n + 1] + "\n" + passages[n]))
    rng.shuffle(texts)
    return [Document(id=name, text=text) for name, text in texts]


def test_the_first_of_equal_documents_stays_and_the_others_are_kept_as_rejects(tmp_path):
    texts = {"a": "one", "b": "two", "c": "One", "d": "three", "e": " two\n"}
    documents = [Document(id=name, text=text) for name, text in texts.items()]
    shards = shards_of(tmp_path / "in", documents[:2], documents[2:])
    found = distinct(shards, tmp_path / "out")
    assert ids(found) == ["a", "b", "d"]
    assert found.num_documents == 3
    assert found.num_bytes == len("onetwothree")
    assert found.dropped == {"duplicate": 2}
    assert [(row["id"], row["reason"], row["of"], row["text"]) for row in rejects(found)] == [
        ("c", "duplicate", "a", "One"),
        ("e", "duplicate", "b", " two\n"),
    ]


def test_a_changed_copy_is_left_out_for_the_first_and_a_contained_text_for_the_longer(
    passages, tmp_path
):
    rng = random.Random(1)
    texts = {
        "first": passages[0],
        "short": passages[1],
        "changed": change_words(passages[0], 0.05, rng),
        "other": passages[2],
        "longer": passages[3] + "\n\n" + passages[1].replace(" ", "\n") + "\n\n" + passages[4],
        "inside": passages[4].lower(),
        "shuffled": " ".join(sorted(passages[0].split())),
    }
    documents = [Document(id=name, text=text) for name, text in texts.items()]
    found = distinct(shards_of(tmp_path / "in", documents), tmp_path / "out")
    assert ids(found) == ["first", "other", "longer", "shuffled"]
    assert [(row["id"], row["reason"], row["of"]) for row in rejects(found)] == [
        ("short", "contained", "longer"),
        ("changed", "near duplicate", "first"),
        ("inside", "contained", "longer"),
    ]


def test_of_nothing_but_duplicates_exactly_the_first_stays(passages, tmp_path):
    rng = random.Random(2)
    copies = [passages[0]] * 30 + [change_words(passages[0], 0.02, rng) for _ in range(30)]
    documents = [Document(id=str(n), text=text) for n, text in enumerate(copies)]
    found = distinct(shards_of(tmp_path / "in", documents), tmp_path / "out")
    assert ids(found) == ["0"]
    assert {row["of"] for row in rejects(found)} == {"0"}
    assert found.dropped == {"duplicate": 29, "near duplicate": 30}


def test_documents_of_few_words_are_duplicates_only_of_the_same_words(tmp_path):
    texts = ["", "a", "a b", "a b c", "a c b", "A  b", "!", "a  B c"]
    documents = [Document(id=str(n), text=text) for n, text in enumerate(texts)]
    found = distinct(shards_of(tmp_path / "in", documents), tmp_path / "out")
    assert ids(found) == ["0", "1", "2", "3", "4", "6"]
    assert found.dropped == {"duplicate": 2}


def test_no_documents_at_all_give_none(tmp_path):
    (tmp_path / "in" / "kept").mkdir(parents=True)
    found = distinct(shards_of(tmp_path / "in", []), tmp_path / "out", num_planted=5)
    assert (found.num_documents, found.dropped, found.planted) == (0, {}, ())


def test_the_size_of_the_pieces_does_not_change_what_is_found(mixed, tmp_path, monkeypatch):
    shards = shards_of(tmp_path / "in", mixed[:50], mixed[50:])
    whole = distinct(shards, tmp_path / "whole", num_planted=10)
    monkeypatch.setattr(deduplicate, "PIECE_BYTES", 4000)
    parts = distinct(shards, tmp_path / "parts", num_planted=10)
    assert len(list((parts.path / "kept").iterdir())) > 20
    assert ids(parts) == ids(whole)
    assert rejects(parts) == rejects(whole)
    assert parts.model_dump(exclude={"path", "fingerprint"}) == whole.model_dump(
        exclude={"path", "fingerprint"}
    )
    index = [{f.name: f.read_bytes() for f in (s.path / "index").iterdir()} for s in (parts, whole)]
    assert index[0] == index[1]


@pytest.mark.ray
@pytest.mark.slow
def test_through_ray_every_file_is_the_same(mixed, tmp_path, monkeypatch):
    shards = shards_of(tmp_path / "in", mixed)
    monkeypatch.setattr(deduplicate, "PIECE_BYTES", 20_000)
    alone = distinct(shards, tmp_path / "alone", num_planted=5)
    monkeypatch.setenv("BLOOMERY_RAY_ADDRESS", "local")
    settings.cache_clear()
    ray = distinct(shards, tmp_path / "ray", num_planted=5)
    assert files_of(ray) == files_of(alone)


@pytest.mark.parametrize("cuts", [(1,), (60,), (100, 101, 150), (230,)])
def test_adding_to_what_is_known_gives_what_all_at_once_gives(mixed, tmp_path, monkeypatch, cuts):
    monkeypatch.setattr(deduplicate, "PIECE_BYTES", 30_000)
    whole = distinct(shards_of(tmp_path / "all", mixed), tmp_path / "whole")
    known = None
    for number, (start, end) in enumerate(zip((0, *cuts), (*cuts, None), strict=True)):
        new = shards_of(tmp_path / f"new{number}", mixed[start:end])
        known = distinct(new, tmp_path / f"grown{number}", known)
    assert ids(known) == ids(whole)
    assert (known.num_documents, known.num_bytes) == (whole.num_documents, whole.num_bytes)
    grown, scratch = (
        {file.name: file.read_bytes() for file in (shards.path / "index").iterdir()}
        for shards in (known, whole)
    )
    assert grown == scratch


def test_known_documents_are_not_sketched_again(mixed, tmp_path, monkeypatch):
    known = distinct(shards_of(tmp_path / "in", mixed[:100]), tmp_path / "known")
    for file in (known.path / "kept").iterdir():  # whatever their texts are now, nobody reads them
        ids = [json.loads(line)["id"] for line in file.open(encoding="utf-8")]
        file.write_text("".join(f'{{"id":"{name}"}}\n' for name in ids), encoding="utf-8")
    new = shards_of(tmp_path / "new", [mixed[0], mixed[50], Document(id="new", text="quite new")])
    grown = distinct(new, tmp_path / "grown", known)
    assert grown.dropped == {"duplicate": 2}
    assert grown.num_documents == known.num_documents + 1
    assert grown.num_bytes == known.num_bytes + len("quite new")


def test_known_documents_indexed_otherwise_are_refused_with_the_remedy(mixed, tmp_path):
    known = distinct(shards_of(tmp_path / "in", mixed[:10]), tmp_path / "known")
    new = shards_of(tmp_path / "new", mixed[10:20])
    with pytest.raises(ValueError, match=r"ngram_size 3, not 5.*leave `known` out"):
        distinct(new, tmp_path / "out", known, ngram_size=5)
    with pytest.raises(ValueError, match="no index of known documents"):
        distinct(new, tmp_path / "other", shards_of(tmp_path / "plain", mixed[:10]))


def test_what_is_known_is_part_of_the_identity_of_the_result(tmp_path):
    one, other = (
        DocumentShards(path=tmp_path / name, num_documents=0, num_bytes=0, dropped={})
        for name in ("one", "other")
    )
    inputs = [
        DeduplicateInputs(documents=one),
        DeduplicateInputs(documents=one, known=other),
        DeduplicateInputs(documents=other, known=one),
    ]
    assert len({Deduplicate().fingerprint(given) for given in inputs}) == 3


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"num_permutations": 100, "num_bands": 32}, "no multiple of num_bands=32"),
        ({"threshold": 0}, "greater than 0"),
        ({"threshold": 1.5}, "less than or equal to 1"),
        ({"ngram_size": 0}, "ngram_size"),
        ({"num_bands": 0}, "num_bands"),
        ({"sample_one_in": 0}, "sample_one_in"),
        ({"bands": 3}, "bands"),
    ],
)
def test_settings_that_mean_nothing_are_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        Deduplicate(**fields)


def test_planted_copies_of_real_documents_are_found_and_little_else(tmp_path):
    shards = shards_of(tmp_path / "in", list(speeches.documents())[::4])
    found = distinct(shards, tmp_path / "out", num_planted=30)
    planted = {row.form: row for row in found.planted}
    for form in ("re-wrapped", "re-cased", "1% of words changed", "5% of words changed"):
        assert planted[form].planted == 30
        assert planted[form].recall >= 0.95
        assert planted[form].precision >= 0.99
    for form in ("inside a later, longer text", "inside an earlier, longer text"):
        assert planted[form].recall >= 0.9
    assert planted["20% of words changed"].recall < planted["10% of words changed"].recall
    report = json.loads((tmp_path / "out" / "planted.json").read_text("utf-8"))
    assert [row["form"] for row in report] == list(planted)
    assert {path.name for path in found.path.iterdir()} == {
        "index",
        "kept",
        "planted.json",
        "rejects",
        "templates.json",
    }
    assert not np.isnan(found.counts["bytes of index per document"])


def test_settings_that_miss_copies_stop_the_flow_and_leave_what_was_measured(tmp_path):
    shards = shards_of(tmp_path / "in", list(speeches.documents())[::4])
    with pytest.raises(ValueError, match=r"1% of words changed 0\..*is 0\.95.*num_bands"):
        distinct(shards, tmp_path / "out", num_planted=30, num_bands=1)
    report = json.loads((tmp_path / "out" / "planted.json").read_text("utf-8"))
    assert {row["form"]: row["found"] for row in report}["re-wrapped"] == 30
    distinct(shards, tmp_path / "lenient", num_planted=30, num_bands=1, min_recall=0)
