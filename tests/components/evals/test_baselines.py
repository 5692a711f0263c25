"""Baselines: the n-grams see what the probe's model sees, no more and no less."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from components.core.artifacts.data import TokenShards
from components.core.artifacts.reports import BaselineReport, HeldOutText
from components.evals.baselines import BaselineInputs, Baselines
from components.lib.inference.held_out import HeldOut
from tests.components.evals.test_ngrams import slow_kneser_ney


def _measure(length: int, number: int, shards: TokenShards, out: Path) -> BaselineReport:
    held_out = HeldOutText(sequence_length=length, num_sequences=number)
    return Baselines().run(BaselineInputs(shards=shards, held_out=held_out), out)


def test_both_baselines_are_the_formulas_on_the_probes_own_sequences(shards, tmp_path):
    report = _measure(16, 3, shards, tmp_path)
    files = sorted((shards.path / "train").glob("shard_*.npy"))
    assert len(files) > 1, "one shard proves little"
    train = np.concatenate([np.load(file) for file in files]).tolist()
    held_out = HeldOut(shards, "test", 16, 3)

    size, counts = shards.vocab_size, np.bincount(train, minlength=shards.vocab_size)
    targets = held_out.windows[:, 1:].ravel()
    unigram = -np.log2((counts[targets] + 1) / (len(train) + size)).sum()
    assert report.unigram == pytest.approx(unigram / held_out.num_bytes)

    bits = 0.0
    for row in held_out.windows[:1].tolist():  # the slow formula takes its time
        for place in range(1, len(row)):
            first = row[place - 2] if place > 1 else size
            p = slow_kneser_ney(train, size, first, row[place - 1], row[place])
            bits -= math.log2(p)
    one = _measure(16, 1, shards, tmp_path)
    one_bytes = HeldOut(shards, "test", 16, 1).num_bytes
    assert one.trigram == pytest.approx(bits / one_bytes)


def test_the_report_is_written_and_the_trigram_is_the_better_model(shards, tmp_path):
    report = _measure(32, 50, shards, tmp_path)
    written = json.loads((tmp_path / "report.json").read_text())
    assert written == {"unigram": report.unigram, "trigram": report.trigram}
    assert 0 < report.trigram < report.unigram < 8


def test_the_test_split_is_measured_and_not_another_one(shards, tmp_path):
    """Trained on and measured on the same text, a trigram would look far too good."""
    report = _measure(32, 50, shards, tmp_path)
    links = tmp_path / "leaky"
    links.mkdir()
    (links / "byte_lengths.npy").symlink_to(shards.path / "byte_lengths.npy")
    for split in ("train", "test"):
        (links / split).symlink_to(shards.path / "train")
    leaky = _measure(32, 50, shards.model_copy(update={"path": links}), tmp_path)
    assert leaky.trigram < 0.7 * report.trigram
