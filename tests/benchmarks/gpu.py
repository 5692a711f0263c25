"""A model of the size of GPT-2 on one GPU: tokens a second and use of the measured matmul peak.

Runs from a bare checkout with `python -m tests.benchmarks.gpu` and needs torch, transformers, numpy
and pydantic; the Trainer's rows need accelerate too. The peers
run one after the other, since the memory of one GPU need not hold them all.
"""

import tempfile
from pathlib import Path
from statistics import median

import torch

from components.lib.device import measured_peak
from tests.benchmarks.table import Row, say, show
from tests.benchmarks.throughput import ours
from tests.benchmarks.turns import Ended, Missing, Peer, running
from tests.benchmarks.work import Work

_FIRST_STEPS, _STEPS, _TURNS = 10, 20, 5

PEERS = (
    Peer("HF Trainer, bf16", "hf_trainer:train", {"bf16": True}),
    Peer("HF Trainer, bf16, compiled", "hf_trainer:train", {"bf16": True, "compile": True}),
    Peer("hand-written module, bf16, compiled", "nano:train"),
    ours("Bloomery, AdamW, compiled", {"optimizer": "adamw"}, compiled=True),
    ours("Bloomery, Muon, compiled (its default)", {}, compiled=True),
)


def run(work: Work) -> list[Row]:
    """Measure, show the table and return its rows; without a GPU say so and return none."""
    if not torch.cuda.is_available():
        say("\nno GPU here")
        return []
    work = work.model_copy(
        update={
            "shards": None,
            "vocab_size": 50_304,
            "width": 768,
            "num_layers": 12,
            "num_heads": 12,
            "length": 1024,
            "batch_size": 32,
        }
    )
    peak = measured_peak()
    rows = [_row(peer, work, peak, number) for number, peer in enumerate(PEERS)]
    title = (
        f"{torch.cuda.get_device_name()}: {work.num_parameters / 1e6:.0f} M parameters, sequences "
        f"of {work.length}, bf16; measured matmul peak {peak / 1e12:.0f} TFLOP/s"
    )
    show(title, rows)
    return rows


def _row(peer: Peer, work: Work, peak: float, number: int) -> Row:
    try:
        with running(peer, work.model_copy(update={"out": work.out / f"gpu_{number}"})) as process:
            process.take(_FIRST_STEPS)
            turns = [process.take(_STEPS) for _ in range(_TURNS)]
    except (Missing, Ended) as error:
        return {"trainer": peer.name, "why": str(error)}
    rate = median(turn.steps * work.tokens_per_step / turn.seconds for turn in turns)
    return {
        "trainer": peer.name,
        "tokens_per_second": round(rate),
        "flop_use": round(rate * work.flops_per_token / peak, 3),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        run(Work(out=Path(folder)))
