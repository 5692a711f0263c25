"""Pretraining on groups of processes that are killed: it ends as if nothing had happened."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from components.core.settings import settings
from components.lib.device import has_bfloat16
from components.lib.ledger.chain import read
from components.lib.models.folders import load_model
from components.lib.training.hyperparameters import DialledHyperparameters
from components.pretrain.train import Train, TrainInputs
from tests.ray_nodes import Cluster, cluster

pytestmark = [pytest.mark.slow, pytest.mark.prove]

NUM_STEPS = 400
INTERVAL = 20
# bfloat16 has 8 bits of mantissa: one process and two round other sums
ROUNDING = 2e-2 if has_bfloat16() else 1e-4


def component() -> Train:
    training = DialledHyperparameters(
        num_steps=NUM_STEPS,
        batch_size=8,
        learning_rate=0.003,
        log_every=1,
        evaluate_every=1000,
        checkpoint_every=INTERVAL,
    )
    return Train(
        training=training,
        depth=1,
        width=32,
        num_heads=2,
        sequence_length=32,
        max_length=64,
        validation_sequences=2,
    )


@pytest.fixture(scope="module")
def inputs(shards, vocabulary) -> TrainInputs:
    return TrainInputs(shards=shards, vocabulary=vocabulary)


@pytest.fixture(scope="module")
def plain(inputs, tmp_path_factory) -> Path:
    """The same training in this process, never interrupted."""
    out = tmp_path_factory.mktemp("plain")
    component().run(inputs, out)
    return out


@pytest.fixture
def two_workers(monkeypatch) -> None:
    monkeypatch.setenv("BLOOMERY_NUM_WORKERS", "2")
    settings.cache_clear()


@pytest.fixture
def with_ray(two_workers, monkeypatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("BLOOMERY_RAY_ADDRESS", "local")
    settings.cache_clear()


@pytest.fixture
def with_two_nodes(two_workers, tmp_path, monkeypatch) -> Iterator[Cluster]:
    pytest.importorskip("ray")
    (tmp_path / "nodes").mkdir()
    with cluster(tmp_path / "nodes") as nodes:
        monkeypatch.setenv("BLOOMERY_RAY_ADDRESS", nodes.address)
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(nodes.token))
        settings.cache_clear()
        yield nodes


def ranks() -> list[psutil.Process]:
    """Return the training processes below this one, by rank."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.Process().children(recursive=True):
        try:
            if "components.lib.training.rank" in process.cmdline() and "RANK" in process.environ():
                found[int(process.environ()["RANK"])] = process
            elif process.name().startswith("ray::RayTrainW"):
                found[len(found)] = process
        except psutil.Error:  # it died meanwhile
            continue
    return [found[rank] for rank in sorted(found)]


def driver() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if "components.core.processes.driver" in child.cmdline()]


class Killer(threading.Thread):
    """Kills ranks and the driver in turn, each time some steps after the group went on."""

    def __init__(self, out: Path, victims: Iterator[str]) -> None:
        super().__init__(daemon=True)
        self.out, self.victims = out, victims
        self.random = random.Random(0)
        self.killed: list[tuple[str, int]] = []
        self.lost: list[int] = []

    def steps(self) -> int:
        file = self.out / "ledger.jsonl"
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def run(self) -> None:
        reached = 0
        for victim in self.victims:
            target = reached + self.random.randint(5, 30)
            while (now := self.steps()) < target:
                time.sleep(0.002)
            processes = driver() if victim == "driver" else ranks()
            (processes[-1] if victim == "rank 1" else processes[0]).kill()
            self.killed.append((victim, now))
            time.sleep(0.5)  # what was in flight is written by now
            reached = self.steps()
            self.wait_until_it_went_back(reached)

    def wait_until_it_went_back(self, reached: int) -> None:
        """Note how many steps a resumed group did again."""
        while (now := self.steps()) >= reached:
            time.sleep(0.002)
        self.lost.append(reached - now)


def train_until_done(component: Train, inputs: TrainInputs, out: Path) -> int:
    """Type the command again as long as it dies; return how often it did."""
    for deaths in range(10):
        try:
            component.run(inputs, out)
        except RuntimeError as error:
            assert "ended with code" in str(error)
        else:
            return deaths
    raise AssertionError("it never ends")


def losses(read_spool, out: Path) -> list[float]:
    points = [(step, point["loss"]) for step, point in read_spool(out) if "loss" in point]
    assert [step for step, _ in points] == list(range(1, NUM_STEPS + 1))
    return [loss for _, loss in points]


def check(one: Path, other: Path, read_spool, rounding: float = 0.0) -> None:
    """Make sure that two trainings saw the same and became the same."""
    assert read(one)[-1].chain == read(other)[-1].chain, "they saw other data"
    assert losses(read_spool, one) == pytest.approx(losses(read_spool, other), rel=rounding)
    if rounding:  # over hundreds of steps it moves single weights by more
        return
    left, right = load_model(one).state_dict(), load_model(other).state_dict()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def killed(component: Train, inputs: TrainInputs, out: Path, victims: list[str]) -> Killer:
    out.mkdir()
    killer = Killer(out, iter(victims))
    killer.start()
    deaths = train_until_done(component, inputs, out)
    killer.join(10)
    assert [victim for victim, _ in killer.killed] == victims
    assert deaths == victims.count("driver")
    assert all(lost < 2 * INTERVAL for lost in killer.lost), "more than what was being written"
    return killer


def test_killed_ten_times_ranks_and_driver_in_turn_it_ends_as_if_nothing_had_happened(
    inputs, plain, two_workers, tmp_path, read_spool
):
    (tmp_path / "whole").mkdir()
    component().run(inputs, tmp_path / "whole")
    check(tmp_path / "whole", plain, read_spool, ROUNDING)
    victims = [["rank 0", "rank 1", "driver"][turn % 3] for turn in range(10)]
    killed(component(), inputs, tmp_path / "killed", victims)
    check(tmp_path / "killed", tmp_path / "whole", read_spool)


@pytest.mark.ray
def test_killed_under_ray_it_ends_as_in_a_plain_process(
    inputs, plain, with_ray, tmp_path, read_spool
):
    killed(component(), inputs, tmp_path / "ray", ["rank 1", "driver"])
    check(tmp_path / "ray", plain, read_spool, ROUNDING)


@pytest.mark.ray
def test_a_node_of_a_cluster_that_dies_costs_some_steps_and_nothing_else(
    inputs, plain, with_two_nodes, tmp_path, read_spool
):
    (out := tmp_path / "cluster").mkdir()
    failed = list[BaseException]()

    def train() -> None:
        try:
            component().run(inputs, out)
        except BaseException as error:
            failed.append(error)

    (training := threading.Thread(target=train)).start()
    ledger = out / "ledger.jsonl"
    while training.is_alive() and not (ledger.exists() and ledger.read_bytes().count(b"\n") > 50):
        time.sleep(0.01)
    with_two_nodes.replace_last_node()
    assert training.is_alive(), "it lost nothing"
    training.join()
    assert not failed
    check(out, plain, read_spool, ROUNDING)
