"""Baselines: n-gram models on the split that the probe uses, for the model to beat."""

from pathlib import Path
from typing import ClassVar

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import TokenShards
from components.core.artifacts.reports import BaselineReport, HeldOutText
from components.core.component import Component


class BaselineInputs(Frozen):
    """What `Baselines` reads."""

    shards: TokenShards
    """The train split is counted, the test split measured."""
    held_out: HeldOutText = HeldOutText()
    """Which held-out text is measured: the probe's."""


class Baselines(Component[BaselineInputs, BaselineReport]):
    """Measure a unigram and a Kneser-Ney trigram, counted on the train split, in bits per byte.

    They see the same tokens, the same held-out sequences and the same contexts as the probe's model
    does: a sequence's first targets have no history from before it.
    """

    version: ClassVar[str] = "2.0.0"

    def run(self, inputs: BaselineInputs, out: Path) -> BaselineReport:
        """Count, score and write `report.json`."""
        import numpy as np

        from components.core.files import write_json
        from components.evals.ngrams import KneserNeyTrigram, unigram_nats
        from components.lib.inference.held_out import HeldOut
        from components.lib.text.tokens import bits_per_byte

        size, folder = inputs.shards.vocab_size, inputs.shards.path / "train"
        shards = [np.load(file) for file in sorted(folder.glob("shard_*.npy"))]
        train = np.concatenate(shards).astype(np.int64)
        held_out = HeldOut.of(inputs.shards, inputs.held_out)
        windows = held_out.windows
        targets = windows[:, 1:].ravel()
        no_history = np.full((len(windows), 1), size)  # an id never seen: backs off to the bigram
        first = np.concatenate([no_history, windows[:, :-2]], axis=1).ravel()
        second = windows[:, :-1].ravel()

        unigram = unigram_nats(train, targets, size).sum()
        trigram = KneserNeyTrigram(train, size).nats(first, second, targets).sum()
        report = {
            "unigram": bits_per_byte(float(unigram), held_out.num_bytes),
            "trigram": bits_per_byte(float(trigram), held_out.num_bytes),
        }
        write_json(out / "report.json", report)
        return BaselineReport(path=out, unigram=report["unigram"], trigram=report["trigram"])
