"""Replay among text: the stated share, each sequence in turn, the same however it is cut."""

from collections import Counter

import numpy as np
import pytest

from components.lib.examples.packed import sequences_of
from components.lib.examples.permutation import draw
from components.lib.examples.replayed import Replayed, replayed
from components.lib.ledger.chain import batch_hash, row_hashes

LENGTH = 32
CUTS = [("stream", False), ("stream", True), ("best_fit", False), ("best_fit", True)]


@pytest.fixture
def texts(shards_of):
    def cut(packing="stream", document_mask=False):
        return [
            sequences_of(shards_of[name].path / "train", LENGTH, packing, document_mask)
            for name in ("library", "speeches")
        ]

    return cut


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.5])
def test_the_share_is_the_one_that_was_asked_and_every_sequence_to_learn_comes_once(texts, share):
    learnt, again = texts()
    examples = Replayed(learnt, again, share)
    of, sequences = examples.found(np.arange(len(examples)))
    assert of.sum() == pytest.approx(share * len(examples), abs=0.5)
    assert sorted(sequences[of == 0].tolist()) == list(range(len(learnt)))
    drawn = np.concatenate([draw(n, 16, len(examples), 3) for n in range(3 * len(examples) // 16)])
    seen = examples.found(drawn)[0].mean()
    assert seen == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_no_sequence_is_replayed_twice_before_all_were(texts, share):
    learnt, again = texts()
    examples = Replayed(learnt, again, share)
    of, sequences = examples.found(np.arange(len(examples)))
    counts = Counter(sequences[of == 1].tolist())
    times = of.sum() / len(again)
    assert set(counts.values()) <= {int(times), -int(-times // 1)}
    assert set(counts) <= set(range(len(again)))
    assert max(counts) > 0.8 * len(again), "they come from everywhere"


@pytest.mark.parametrize(("packing", "document_mask"), CUTS)
def test_a_batch_holds_the_very_sequences_of_both_texts_in_order(texts, packing, document_mask):
    learnt, again = texts(packing, document_mask)
    examples = Replayed(learnt, again, 0.4)
    indices = draw(0, 12, len(examples), seed=1)
    batch = examples.batch(indices)
    of, sequences = examples.found(indices)
    assert 0 < of.sum() < 12
    alone = [(learnt, again)[o].batch(np.array([s])) for o, s in zip(of, sequences, strict=True)]
    assert row_hashes(batch) == [row_hashes(each)[0] for each in alone]
    assert batch.widths().tolist() == [each.widths()[0] for each in alone]
    assert examples.num_tokens(indices) == batch.num_tokens()
    plain = Replayed(learnt).batch(sequences[of == 0])
    assert batch_hash(plain) == batch_hash(learnt.batch(sequences[of == 0]))


@pytest.mark.parametrize(("packing", "document_mask"), CUTS)
def test_parts_and_processes_see_together_what_one_batch_holds(texts, packing, document_mask):
    examples = Replayed(*texts(packing, document_mask), share=0.3)
    indices = draw(5, 13, len(examples), seed=0)
    whole = examples.batch(indices)
    for cuts in ([slice(n, None, 2) for n in range(2)], [slice(0, 5), slice(5, 13)]):
        own = [examples.batch(indices[cut]) for cut in cuts]
        assert sum(map(batch_hash, own)) % (1 << 64) == batch_hash(whole) % (1 << 64)
        for cut, batch in zip(cuts, own, strict=True):
            assert row_hashes(whole.rows(cut)) == row_hashes(batch)


def test_the_indices_of_a_sequence_are_those_that_mean_it(texts):
    learnt, again = texts()
    examples = Replayed(again, learnt, 0.5)  # of the shorter text each sequence, of the other some
    for order in (examples, Replayed(learnt, again, 0.5)):
        of, sequences = order.found(np.arange(len(order)))
        for text in (0, 1):
            for sequence in range(0, len(order.texts[text]), 7):
                (expected,) = np.nonzero((of == text) & (sequences == sequence))
                assert order.indices_of(text, sequence).tolist() == expected.tolist()


def test_what_is_told_to_the_metrics_is_what_is_drawn(texts, monkeypatch):
    learnt, again = texts()
    monkeypatch.setattr("components.lib.examples.replayed._AT_ONCE", 50)
    examples = Replayed(learnt, again, 0.25)
    drawn = np.concatenate([draw(step, 8, len(examples), seed=4) for step in range(40)])
    number = int((drawn >= len(learnt)).sum())
    told = examples.measures(320, seed=4)
    assert told["replay.sequences"] == number > 0
    assert told["replay.share"] == number / 320
    assert told["replay.epochs"] == number / len(again)


def test_shards_without_a_sequence_to_replay_are_refused(shards_of, tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(ValueError, match="has 0 tokens, fewer than one sequence"):
        replayed(shards_of["library"].path, tmp_path, 0.1, LENGTH)
