"""Tokens a second of each trainer on this machine, all stepped in turn in one run."""

from statistics import median

import torch

from components.lib.device import measured_peak
from tests.benchmarks.table import Row, show
from tests.benchmarks.turns import Peer, Turn, started
from tests.benchmarks.work import Work, num_threads, num_turns

BASE, BASE_BF16 = "HF Trainer, float32 (its default)", "HF Trainer, bf16"
_STEPS = 5
_THREADS = {"GOMP_SPINCOUNT": "1000"}  # as quiet_environment: matters where other work runs too
_FIRST_STEPS = 3  # not counted: memory grows and code is compiled


def peers() -> list[Peer]:
    """Return the trainers that are compared."""
    return [
        Peer(BASE, "hf_trainer:train"),
        Peer(BASE_BF16, "hf_trainer:train", {"bf16": True}),
        Peer("HF Trainer, bf16, compiled", "hf_trainer:train", {"bf16": True, "compile": True}),
        Peer(BASE_BF16 + ", threads as ours", "hf_trainer:train", {"bf16": True}, _THREADS),
        Peer("litgpt pretrain (bf16, compiled)", "lit:train"),
        Peer("hand-written module, bf16, compiled", "nano:train"),
        ours("Bloomery, AdamW", {"optimizer": "adamw"}),
        ours("Bloomery, AdamW, compiled", {"optimizer": "adamw"}, compiled=True),
        ours("Bloomery, Muon (its default)", {"optimizer": "muon"}),
    ]


def ours(name: str, options: dict[str, bool | int | str], *, compiled: bool = False) -> Peer:
    """Return our own trainer, in the environment that `bloomery` gives its processes."""
    environment = {**_THREADS, "BLOOMERY_COMPILE": str(compiled).lower()}
    return Peer(name, "ours:train", options, environment)


def run(work: Work) -> list[Row]:
    """Measure, show the table and return its rows."""
    torch.set_num_threads(num_threads())
    turns: dict[str, list[Turn]] = {}
    peaks: list[float] = []
    with started(peers(), work, _FIRST_STEPS) as (alive, reasons):
        for _ in range(num_turns()):
            peaks.append(measured_peak())
            for name, process in alive.items():
                turns.setdefault(name, []).append(process.take(_STEPS))
    rows = [_row(work, name, turns, peaks) for name in turns]
    missing: list[Row] = [{"trainer": name, "why": why} for name, why in reasons.items()]
    show("Tokens a second (ratios are medians over turns)", [*rows, *missing])
    return [*rows, *missing]


def _row(work: Work, name: str, turns: dict[str, list[Turn]], peaks: list[float]) -> Row:
    """Return the medians over the turns of what each turn gives."""
    tokens = [turn.steps * work.tokens_per_step / turn.seconds for turn in turns[name]]
    row: Row = {"trainer": name, "tokens_per_second": round(median(tokens))}
    for base, key in ((BASE, "ratio_to_float32"), (BASE_BF16, "ratio_to_bf16")):
        if base in turns:
            row[key] = _ratio([t.seconds for t in turns[base]], [t.seconds for t in turns[name]])
    if BASE in turns:
        row["ratio_by_cpu_seconds"] = _ratio(
            [t.cpu_seconds for t in turns[BASE]], [t.cpu_seconds for t in turns[name]]
        )
    shares = [rate * work.flops_per_token / peak for rate, peak in zip(tokens, peaks, strict=True)]
    row["share_of_matmul_peak"] = round(median(shares), 3)
    return row


def _ratio(base: list[float], own: list[float]) -> float:
    return round(median(b / o for b, o in zip(base, own, strict=True)), 2)
