"""Pretraining: real text gets likelier, and what cannot work is refused before it starts."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from components.core.settings import settings
from components.lib.examples.packed import sequences_of
from components.lib.examples.packing import PackingReport, packing_report
from components.lib.examples.permutation import draw
from components.lib.inference.held_out import HeldOut
from components.lib.inference.torch_model import TorchModel
from components.lib.ledger import chain
from components.lib.models.folders import load_model, load_tokenizer, num_parameters
from components.lib.models.shape import ArchitectureName
from components.lib.training.hyperparameters import DialledHyperparameters, Hyperparameters
from components.pretrain.train import Train, TrainInputs

ROOT = Path(__file__).parents[3]
SHAPE = {
    "sequence_length": 32,
    "depth": 2,
    "width": 32,
    "num_heads": 2,
    "num_key_value_heads": 1,
    "max_length": 64,
    "validation_sequences": 4,
}


def component(num_steps: int = 6, **changes) -> Train:
    training = DialledHyperparameters(
        num_steps=num_steps, batch_size=4, learning_rate=0.01, log_every=1, checkpoint_every=2
    )
    return Train(**{"training": training, **SHAPE, **changes})


@pytest.fixture
def inputs(shards, vocabulary) -> TrainInputs:
    return TrainInputs(shards=shards, vocabulary=vocabulary)


def test_real_text_gets_likelier_than_its_letters_alone_would_be(checkpoint, shards, read_spool):
    points = [point for _, point in read_spool(checkpoint.path)]
    losses = [point["loss"] for point in points if "loss" in point]
    assert losses[0] > 5.0
    assert losses[-1] < 4.6  # of ln 512 = 6.2; 4.3 when this was written
    validated = [p["validation_bits_per_byte"] for p in points if "validation_bits_per_byte" in p]
    model = TorchModel(load_model(checkpoint.path))
    expected = HeldOut(shards, "validation", 64, 8).bits_per_byte(model)
    assert validated[-1] == pytest.approx(expected, rel=1e-4)
    assert validated[-1] < validated[0]


def test_the_model_folder_is_what_was_asked_and_stands_on_its_own(checkpoint, vocabulary):
    model = load_model(checkpoint.path)
    assert checkpoint.num_parameters == num_parameters(model)
    assert checkpoint.bytes_on_disk == (checkpoint.path / "model.safetensors").stat().st_size
    config = json.loads((checkpoint.path / "config.json").read_text())
    tokenizer = load_tokenizer(checkpoint.path)
    assert config["eos_token_id"] == tokenizer.eos_token_id == 0
    assert config["pad_token_id"] == tokenizer.pad_token_id == 1
    assert config["max_position_embeddings"] == 256
    assert config["num_key_value_heads"] == 1
    assert not (checkpoint.path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"num_heads": 3, "num_key_value_heads": 3},
            "width=32 is not a multiple of num_heads=3: take num_heads=4 or width=36",
        ),
        (
            {"num_heads": 4, "num_key_value_heads": 3},
            "num_heads=4 is not a multiple of num_key_value_heads=3: take num_key_value_heads=2",
        ),
        ({"width": 36, "num_heads": 12}, r"gives heads of 3, .*: take width=48"),
        ({"sequence_length": 65}, "sequence_length=65 is longer than max_length=64: raise the one"),
        (
            {"architecture": "gpt2"},
            "num_key_value_heads=1 differs from num_heads=2.*take num_key_value_heads=2",
        ),
        (
            {"architecture": "moe", "num_experts_per_token": 9},
            "num_experts_per_token=9 is more than num_experts=8",
        ),
    ],
)
def test_sizes_that_cannot_work_are_refused_when_the_recipe_is_made(changes, message):
    with pytest.raises(ValueError, match=message):
        component(**changes)


def test_all_that_is_wrong_with_a_recipe_is_told_at_once():
    with pytest.raises(ValueError, match="This bert cannot be trained") as error:
        component(architecture="bert", num_heads=3, sequence_length=65, z_loss=1e-4)
    for problem in (
        "take num_heads=",
        "num_key_value_heads=1 differs",
        "sequence_length=65",
        "z_l",
    ):
        assert problem in str(error.value)


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (16_000, "sequences of 16000 tokens, fewer than one batch of 4"),
        (30_000, "fewer than one sequence of 30001"),
    ],
)
def test_too_little_text_is_refused_before_anything_is_trained(inputs, tmp_path, length, message):
    asked = component(sequence_length=length, max_length=length)
    with pytest.raises(ValueError, match=message):
        asked.run(inputs, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_more_workers_than_examples_in_a_batch_are_refused(inputs, tmp_path, monkeypatch):
    """One of them would have nothing to do and the others would wait for its gradient for ever."""
    monkeypatch.setenv("BLOOMERY_NUM_WORKERS", "5")
    settings.cache_clear()
    with pytest.raises(ValueError, match="A batch of 4 has no example for each of the 5 workers"):
        component().run(inputs, tmp_path)


def test_what_is_left_open_is_trained_as_depth_says(inputs, tmp_path, read_spool):
    dialled = Train(
        depth=1,
        sequence_length=64,
        tokens_per_parameter=0.05,
        validation_sequences=4,
        training=DialledHyperparameters(log_every=1, warmup_fraction=0.0, schedule="constant"),
    )
    shape, training = dialled.resolve(512)
    made = dialled.run(inputs, tmp_path)
    config = json.loads((made.path / "config.json").read_text())
    assert (config["hidden_size"], config["num_hidden_layers"]) == (shape.width, 1) == (64, 1)
    steps = chain.read(made.path)
    assert [step.examples for step in steps] == [training.batch_size] * training.num_steps
    rates = [
        point["optimizer.learning_rate"] for _, point in read_spool(made.path) if "loss" in point
    ]
    assert rates == pytest.approx([training.learning_rate] * training.num_steps)


@pytest.mark.parametrize("architecture", ["qwen3", "gpt2", "sliding", "moe", "bert"])
def test_every_architecture_is_trained_by_the_same_component(
    inputs, tmp_path, read_spool, architecture
):
    heads = {"num_key_value_heads": None if architecture in ("gpt2", "bert") else 1}
    made = component(2, architecture=architecture, **heads).run(inputs, tmp_path)
    assert made.num_parameters == num_parameters(load_model(made.path))
    assert made.num_active_parameters < made.num_parameters or architecture != "moe"
    assert [step for step, point in read_spool(made.path) if "loss" in point] == [1, 2]
    assert len(chain.read(made.path)) == 2
    assert any("validation" in name for _, point in read_spool(made.path) for name in point)


@pytest.mark.parametrize("packing", ["stream", "best_fit"])
def test_packed_and_masked_documents_are_trained_on_and_what_that_saves_is_told(
    inputs, tmp_path, read_spool, packing
):
    asked = component(4, packing=packing, document_mask=packing == "stream")
    made = asked.run(inputs, tmp_path)
    examples = sequences_of(inputs.shards.path / "train", 32, packing, packing == "stream")
    steps = chain.read(made.path)
    batches = [examples.batch(draw(step.draw, 4, len(examples), 0)) for step in steps]
    assert [step.batch for step in steps] == [
        f"{chain.batch_hash(batch) % (1 << 64):016x}" for batch in batches
    ]
    points = [point for _, point in read_spool(made.path) if "loss" in point]
    seen = np.cumsum([batch.num_tokens() for batch in batches]).tolist()
    assert [point["tokens"] for point in points] == seen
    report = PackingReport.model_validate_json((made.path / "packing.json").read_text())
    assert report == packing_report(inputs.shards.path / "train", 32)
    assert {way.packing: way.tokens_lost for way in report.ways}["best_fit"] == 0
    validated = [p for _, p in read_spool(made.path) if "validation_bits_per_byte" in p]
    held_out = HeldOut(inputs.shards, "validation", 32, 4)  # the stream's, to compare with others
    found = held_out.bits_per_byte(TorchModel(load_model(made.path)))
    assert validated[-1]["validation_bits_per_byte"] == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize(
    "changes",
    [{"packing": "best_fit"}, {"document_mask": True}, {"z_loss": 1e-4}, {"label_smoothing": 0.1}],
)
def test_an_encoder_takes_nothing_that_is_for_decoders_and_says_so_at_once(changes):
    (name,) = changes
    with pytest.raises(ValueError, match=rf"{name}=.* is for decoders: its .* Leave {name} out"):
        component(architecture="bert", num_key_value_heads=None, **changes)


@pytest.mark.parametrize("architecture", get_args(ArchitectureName))
def test_a_recipe_tells_encoders_from_what_writes_text(architecture):
    assert Train(architecture=architecture).reads_both_ways == (architecture == "bert")


def test_what_is_packed_by_default_is_the_stream_and_leaves_no_report(checkpoint):
    assert (component().packing, component().document_mask) == ("stream", False)
    assert not (checkpoint.path / "packing.json").exists()


@pytest.mark.parametrize("name", ["num_steps", "batch_size", "learning_rate"])
def test_a_plan_without_steps_batch_or_rate_is_refused_by_name(name):
    with pytest.raises(ValueError, match=name):
        Hyperparameters(**{"num_steps": 1, "batch_size": 1, "learning_rate": 0.1, name: 0})


@pytest.mark.slow
@pytest.mark.parametrize(
    "packing",
    [
        {},
        pytest.param({"packing": "best_fit", "document_mask": True}, marks=pytest.mark.prove),
    ],
)
def test_killed_while_it_trains_it_ends_as_if_nothing_had_been(
    inputs, tmp_path, read_spool, packing
):
    """SIGKILL from outside, at whatever moment, on real shards."""
    import time

    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    asked = component(num_steps=40, **packing)
    whole = asked.run(inputs, tmp_path / "whole")
    code = (
        "from pathlib import Path; from components.pretrain.train import *;"
        f"component = Train.model_validate_json({asked.model_dump_json()!r});"
        f"inputs = TrainInputs.model_validate_json({inputs.model_dump_json()!r});"
        f"component.run(inputs, Path({str(tmp_path / 'killed')!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    spool, end = tmp_path / "killed" / "metrics.jsonl", time.monotonic() + 120
    while time.monotonic() < end and not (spool.exists() and spool.read_bytes().count(b"\n") > 8):
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it had ended before it was killed"
    assert not (tmp_path / "killed" / "model.safetensors").exists()

    resumed = asked.run(inputs, tmp_path / "killed")
    one, other = load_model(whole.path), load_model(resumed.path)
    for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name
    steps = [step for step, point in read_spool(resumed.path) if "loss" in point]
    assert steps == list(range(1, 41))
    assert (resumed.path / "ledger.jsonl").read_bytes() == (
        whole.path / "ledger.jsonl"
    ).read_bytes()


@pytest.mark.ray
@pytest.mark.slow
def test_ray_trains_the_same_model_as_one_plain_process(inputs, home, tmp_path, monkeypatch):
    for name in ("plain", "ray"):
        (tmp_path / name).mkdir()
    home.mkdir()
    plain = component().run(inputs, tmp_path / "plain")
    monkeypatch.setenv("BLOOMERY_RAY_ADDRESS", "local")
    settings.cache_clear()
    by_ray = component().run(inputs, tmp_path / "ray")
    weights = [(made.path / "model.safetensors").read_bytes() for made in (plain, by_ray)]
    assert weights[0] == weights[1]
