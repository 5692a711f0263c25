"""How much sooner Bloomery is where Hugging Face's Trainer is after five minutes.

The Trainer trains for a given time with a cosine schedule planned for it. A schedule needs its
horizon, so ours is trained from the beginning again for longer and longer horizons, until the loss
at the end of one is the Trainer's. Time is that of training, compiling included, evaluation not.
"""

from typing import NamedTuple

from tests.benchmarks.table import Row, say, show
from tests.benchmarks.throughput import ours
from tests.benchmarks.turns import Ended, Missing, Peer, running
from tests.benchmarks.work import Work, peer_seconds

_FIRST_SHARE, _GROWTH = 1 / 10, 1.25  # of the Trainer's time: the first horizon, and the next ones
_LAST_SHARE = 1.0  # a horizon longer than this is not tried
_FIRST_STEPS, _STEPS = 3, 5  # to find out how long a step takes

_TRAINER = {"cosine": True}
TARGETS = (Peer("HF Trainer, float32 (its default)", "hf_trainer:train", _TRAINER),)


class Candidate(NamedTuple):
    """A setting of ours, and the best learning rate for it in notes of earlier measurements."""

    peer: Peer
    learning_rate: float


CANDIDATES = (
    Candidate(ours("Muon, QK-norm, zero start", {"architecture": "qwen3"}), 0.01),
    Candidate(ours("Muon, zero start (the default)", {}), 0.01),
    Candidate(ours("Muon", {"random_projections": True}), 0.01),
    Candidate(ours("Muon, QK-norm", {"architecture": "qwen3", "random_projections": True}), 0.01),
    Candidate(ours("AdamW, zero start", {"optimizer": "adamw"}), 0.001),
)


class Hyperparameters(NamedTuple):
    """A training from its first step to its last."""

    num_steps: int
    seconds: float
    loss: float  # nats a token, held out


def run(work: Work) -> list[Row]:
    """Measure, show the table and return its rows."""
    targets: dict[str, Hyperparameters] = {}
    for peer in TARGETS:
        try:
            num_steps = _steps_in(peer_seconds(), peer, work)
            targets[peer.name] = _train(peer, work, num_steps)
        except (Missing, Ended) as error:
            say(f"{peer.name}: {error}")
    rows = [
        row
        for candidate in CANDIDATES
        for row in _reach(candidate, work, targets)
    ]  # fmt: skip
    show(
        "Time to the held-out loss of HF Trainer (AdamW, cosine, 0.001); ratios are its / ours",
        rows,
    )
    return rows


def _train(peer: Peer, work: Work, num_steps: int) -> Hyperparameters:
    """Train for `num_steps`, with the schedule planned for them."""
    with running(peer, _fresh(work, peer, num_steps)) as process:
        turn = process.take(num_steps)
        training = Hyperparameters(num_steps, turn.seconds, process.finish())
    say(f"{peer.name}: {num_steps} steps, {turn.seconds:.0f} s, {training.loss:.3f} nats")
    return training


def _steps_in(seconds: float, peer: Peer, work: Work) -> int:
    """Return how many steps a peer takes in a time."""
    with running(peer, _fresh(work, peer, Work.model_fields["num_steps"].default)) as process:
        process.take(_FIRST_STEPS)
        turn = process.take(_STEPS)
    return max(_STEPS, round(seconds / turn.seconds * turn.steps))


def _fresh(work: Work, peer: Peer, num_steps: int) -> Work:
    """Return the work in a folder that no other training has."""
    folder = f"{peer.name.replace(' ', '_')}_{num_steps}"
    return work.model_copy(update={"out": work.out / folder, "num_steps": num_steps})


def _reach(candidate: Candidate, work: Work, targets: dict[str, Hyperparameters]) -> list[Row]:
    """Train for longer and longer horizons; return for each target the first that reached it."""
    peer = candidate.peer
    work = work.model_copy(update={"learning_rate": candidate.learning_rate})
    steps_in_all = _steps_in(peer_seconds(), peer, work)
    open_targets, share = dict(targets), _FIRST_SHARE
    rows: list[Row] = []
    while open_targets and share <= _LAST_SHARE:
        training = _train(peer, work, round(steps_in_all * share))
        for name, target in list(open_targets.items()):
            if training.loss <= target.loss:
                rows.append(_row(peer.name, name, training, open_targets.pop(name)))
        share *= _GROWTH
    return rows + [_unreached(peer.name, name, target) for name, target in open_targets.items()]


def _row(name: str, of: str, training: Hyperparameters, target: Hyperparameters) -> Row:
    sooner = target.seconds / training.seconds
    fewer = target.num_steps / training.num_steps  # of tokens: both have the same in a step
    return {
        "ours": name,
        "target": of,
        "target_loss": round(target.loss, 3),
        "loss": round(training.loss, 3),
        "target_seconds": round(target.seconds, 1),
        "seconds": round(training.seconds, 1),
        "wall_time_ratio": round(sooner, 2),
        "throughput_ratio": round(sooner / fewer, 2),
        "token_ratio": round(fewer, 2),
    }


def _unreached(name: str, of: str, target: Hyperparameters) -> Row:
    return {"ours": name, "target": of, "target_loss": round(target.loss, 3), "loss": "not reached"}
