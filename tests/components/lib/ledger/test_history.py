"""What a pretraining saw: answers against a scan of every batch, and planted lies found out."""

import json
import shutil

import numpy as np
import pytest

from components.core.files import sha256
from components.data.document import read_documents
from components.lib.examples.documents import Documents
from components.lib.examples.packed import sequences_of
from components.lib.examples.permutation import draw
from components.lib.examples.replayed import replayed
from components.lib.examples.windows import Windows
from components.lib.ledger.chain import LEDGER, Ledger, batch_hash, read
from components.lib.ledger.history import History

LENGTH, BATCH, SEED = 64, 8, 3
DRAWS = [0, 1, 2, 5, 6, 7, 8, 9]  # after a rollback to step 3 two draws were skipped


def _scan(shards, draws=DRAWS) -> dict[str, set[int]]:
    """Return the steps that saw each document, by looking at every batch of all of them."""
    windows, documents = Windows(shards.path / "train", LENGTH), Documents(shards.path / "train")
    seen: dict[str, set[int]] = {name: set() for name in documents.ids(list(range(len(documents))))}
    for step, number in enumerate(draws, start=1):
        for window in draw(number, BATCH, len(windows), SEED).tolist():
            parts = documents.in_window(windows.sequences, window)
            for name in documents.ids([part.document for part in parts]):
                seen[name].add(step)
    return seen


def test_the_overview_counts_what_was_seen(trained, shards):
    out = trained(DRAWS)
    seen, expected = History(out).overview(), _scan(shards)
    assert (seen.steps, seen.examples, seen.tokens) == (8, 64, 64 * LENGTH)
    assert seen.epochs == 64 / len(Windows(shards.path / "train", LENGTH))
    assert seen.documents == len(expected)
    assert seen.documents_seen == sum(map(bool, expected.values())) < seen.documents
    assert seen.skipped_draws == ((3, 4),)
    assert seen.chain == read(out)[-1].chain


def test_after_an_epoch_every_document_that_a_window_holds_was_seen(trained, shards):
    num_windows = len(Windows(shards.path / "train", LENGTH))
    draws = list(range(-(-num_windows // BATCH)))
    seen = History(trained(draws), positions_at_once=24).overview()
    assert seen.epochs >= 1
    assert seen.documents_seen == sum(map(bool, _scan(shards, draws).values()))
    assert seen.skipped_draws == ()


def test_a_step_shows_the_documents_of_its_batch_with_their_text(trained, corpus, shards):
    out, texts = trained(DRAWS), {}
    for document in read_documents(corpus.path / "train.jsonl"):
        texts[document.id] = " ".join(document.text.split())
    history, expected = History(out), _scan(shards)
    for number in (1, 4, 8):
        seen = history.step(number)
        assert {d.id for d in seen.documents} == {n for n, at in expected.items() if number in at}
        entry = read(out)[number - 1]
        assert (seen.draw, seen.batch, seen.chain) == (DRAWS[number - 1], entry.batch, entry.chain)
        assert (seen.examples, seen.tokens, seen.verified) == (BATCH, BATCH * LENGTH, True)
        assert sum(p.end - p.start for d in seen.documents for p in d.parts) == BATCH * (LENGTH + 1)
        for found in seen.documents:
            assert found.snippet.removesuffix("...").strip("\ufffd ") in texts[found.id]
            assert found.source == found.id.split("/")[0]


def test_a_document_shows_every_step_that_saw_it(trained, shards):
    history, expected = History(trained(DRAWS)), _scan(shards)
    assert len([name for name, steps in expected.items() if len(steps) > 1]) > 0
    for name, steps in expected.items():
        seen = history.document(name)
        assert {sighting.step for sighting in seen.sightings} == steps, name
        assert [s.step for s in seen.sightings] == sorted(s.step for s in seen.sightings)
        assert (seen.split, seen.steps) == ("train", 8)
        for sighting in seen.sightings:
            parts = {d.id: d.parts for d in history.step(sighting.step).documents}
            assert sighting.part in parts[name]


def test_a_held_out_document_was_never_seen(trained, corpus):
    (held_out, *_) = read_documents(corpus.path / "test.jsonl")
    seen = History(trained(DRAWS)).document(held_out.id)
    assert (seen.split, seen.sightings, seen.windows) == ("test", (), 0)
    assert seen.tokens > 1


def test_an_unknown_document_is_an_error_that_names_similar_ones(trained, corpus):
    (document, *_) = read_documents(corpus.path / "train.jsonl")
    with pytest.raises(ValueError, match=f"Did you mean .*{document.id}"):
        History(trained(DRAWS)).document(document.id[:-1])


@pytest.mark.parametrize("number", [-1, 0, 9])
def test_a_step_that_was_not_taken_is_an_error_with_the_range(trained, number):
    with pytest.raises(ValueError, match=rf"No step {number}: .* steps 1 to 8"):
        History(trained(DRAWS)).step(number)


def test_a_token_that_changed_in_the_shards_is_found_out(trained, shards, tmp_path):
    copy = shards.model_copy(update={"path": tmp_path / "shards"})
    shutil.copytree(shards.path, copy.path)
    out = trained(DRAWS, copy)
    sequences = Windows(copy.path / "train", LENGTH).sequences
    drawn = {n: set(draw(DRAWS[n - 1], BATCH, len(sequences), SEED).tolist()) for n in (4, 5)}
    window = min(drawn[4] - {w + d for w in drawn[5] for d in (-1, 0, 1)})
    position = int(sequences.positions(np.array([window]))[0])
    file = copy.path / "train" / f"shard_{position // 20_000:05d}.npy"
    tokens = np.load(file)
    tokens[position % 20_000 + 3] ^= 1
    np.save(file, tokens)
    history = History(out)
    with pytest.raises(ValueError, match=r"Step 4 did not see what these shards hold"):
        history.step(4)
    assert history.step(5).verified


def test_another_seed_in_the_record_is_found_out(trained):
    out = trained(DRAWS)
    record = json.loads((out / "artifact.json").read_text())
    record["config"]["training"]["seed"] += 1
    (out / "artifact.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="did not see what these shards hold"):
        History(out).step(1)


def test_a_ledger_that_was_written_anew_is_found_out_by_the_record(trained):
    out = trained(DRAWS)
    ledger = Ledger(out)
    ledger.append(1, draw=0, examples=BATCH, batch_hash=1)
    with pytest.raises(ValueError, match="sha256 differs from the record's"):
        History(out)


def test_a_training_without_a_ledger_is_an_error_with_the_remedy(trained):
    out = trained(DRAWS)
    (out / LEDGER).unlink()
    with pytest.raises(ValueError, match=r"no ledger\.jsonl: .*Run the flow again"):
        History(out)


@pytest.mark.parametrize(("architecture", "is_traced"), [("moe", True), ("bert", False)])
def test_an_encoder_is_refused_since_its_pairs_are_not_traced(trained, architecture, is_traced):
    out = trained(DRAWS)
    record = json.loads((out / "artifact.json").read_text())
    record["config"]["architecture"] = architecture
    (out / "artifact.json").write_text(json.dumps(record))
    if is_traced:
        assert History(out).step(1).verified
        return
    with pytest.raises(ValueError, match=r"is an encoder\. .*ledger\.jsonl still proves the order"):
        History(out)


@pytest.fixture
def packed(trained, shards):
    """Return the examples of a pretraining on packed or masked documents, and its history."""

    def train(packing: str, document_mask: bool):
        out = trained(DRAWS)
        examples = sequences_of(shards.path / "train", LENGTH, packing, document_mask)
        ledger = Ledger(out)
        for step, number in enumerate(DRAWS, start=1):
            batch = examples.batch(draw(number, BATCH, len(examples), SEED))
            ledger.append(step, number, BATCH, batch_hash(batch))
        record = json.loads((out / "artifact.json").read_text())
        record["config"] |= {"packing": packing, "document_mask": document_mask}
        record["files"][LEDGER] = sha256(out / LEDGER)
        (out / "artifact.json").write_text(json.dumps(record))
        return examples, History(out)

    return train


@pytest.mark.parametrize(
    ("packing", "document_mask"), [("best_fit", False), ("best_fit", True), ("stream", True)]
)
def test_packed_documents_are_found_in_every_step_that_saw_them(
    packed, shards, corpus, packing, document_mask
):
    examples, history = packed(packing, document_mask)
    documents = Documents(shards.path / "train")
    names = documents.ids(list(range(len(documents))))
    texts = {d.id: " ".join(d.text.split()) for d in read_documents(corpus.path / "train.jsonl")}
    expected: dict[str, set[int]] = {name: set() for name in names}
    tokens = 0
    for step, number in enumerate(DRAWS, start=1):
        indices = draw(number, BATCH, len(examples), SEED)
        tokens += examples.batch(indices).num_tokens()
        for index in indices.tolist():
            for part in examples.parts_in(documents, index):
                expected[names[part.document]].add(step)
    seen = history.overview()
    assert seen.tokens == tokens
    assert seen.documents_seen == sum(map(bool, expected.values()))
    assert seen.epochs == len(DRAWS) * BATCH / len(examples)
    for name, steps in expected.items():
        assert {s.step for s in history.document(name).sightings} == steps, name
    shown = history.step(4)
    assert shown.verified
    assert {d.id for d in shown.documents} == {n for n, at in expected.items() if 4 in at}
    for found in shown.documents:
        assert found.snippet.removesuffix("...").strip("\ufffd ") in texts[found.id]
    assert shown.tokens == examples.num_tokens(draw(5, BATCH, len(examples), SEED))


def test_another_way_of_packing_in_the_record_is_found_out(packed):
    _, history = packed("best_fit", document_mask=True)
    record = json.loads((history._folder / "artifact.json").read_text())
    record["config"]["document_mask"] = False
    (history._folder / "artifact.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="did not see what these shards hold"):
        History(history._folder).step(1)


@pytest.fixture
def with_replay(trained, shards_of):
    """Return the examples of a training on one source that replays another, and its history."""
    out, own, again = trained(DRAWS), shards_of["library"], shards_of["speeches"]
    examples = replayed(own.path, again.path, 0.4, LENGTH)
    ledger = Ledger(out)
    for step, number in enumerate(DRAWS, start=1):
        batch = examples.batch(draw(number, BATCH, len(examples), SEED))
        ledger.append(step, number, BATCH, batch_hash(batch))
    record = json.loads((out / "artifact.json").read_text())
    record["config"] |= {"replay_share": 0.4}
    for name, shards in (("shards", own), ("replay", again)):
        record["inputs"][name] = {"path": str(shards.path), "fingerprint": ""}
    record["files"][LEDGER] = sha256(out / LEDGER)
    (out / "artifact.json").write_text(json.dumps(record))
    return examples, History(out)


def test_documents_that_were_replayed_are_found_in_every_step_that_saw_them(with_replay, shards_of):
    examples, history = with_replay
    folders = [shards_of[name].path / "train" for name in ("library", "speeches")]
    windows, texts = [Windows(f, LENGTH) for f in folders], [Documents(f) for f in folders]
    names = [text.ids(list(range(len(text)))) for text in texts]
    expected = {name: set[int]() for own in names for name in own}
    num_again = 0
    for step, number in enumerate(DRAWS, start=1):
        of, found = examples.found(draw(number, BATCH, len(examples), SEED))
        num_again += int(of.sum())
        for text, window in zip(of.tolist(), found.tolist(), strict=True):
            for part in texts[text].in_window(windows[text].sequences, window):
                expected[names[text][part.document]].add(step)
    seen = history.overview()
    assert (seen.replayed, seen.examples, seen.tokens) == (num_again, 64, 64 * LENGTH)
    assert 0 < num_again < 64
    assert seen.documents == len(expected)
    assert seen.documents_seen == sum(map(bool, expected.values()))
    for name, steps in expected.items():
        assert {s.step for s in history.document(name).sightings} == steps, name
    shown = history.step(4)
    assert {d.id for d in shown.documents} == {n for n, at in expected.items() if 4 in at}
    assert {d.source for d in shown.documents} == {"library", "speeches"}
    for found in shown.documents:
        sightings = history.document(found.id).sightings
        assert {s.part for s in sightings if s.step == 4} == set(found.parts)


def test_a_replay_that_was_another_is_found_out(with_replay, shards_of):
    _, history = with_replay
    file = history._folder / "artifact.json"
    record = json.loads(file.read_text())
    record["config"]["replay_share"] = 0.1
    file.write_text(json.dumps(record))
    other = History(history._folder)
    with pytest.raises(ValueError, match="did not see what these shards hold"):
        for step in range(1, 9):  # one with few to replay may be the same
            other.step(step)
