"""SFT: the answers get likelier, and the model stands on its own."""

import numpy as np
import pytest
import torch
from peft import PeftModel

from components.core.artifacts.data import Instructions
from components.core.settings import settings
from components.finetune.replay import WithReplay
from components.finetune.sft import SFT, SFTInputs
from components.lib.examples.batches import IGNORED
from components.lib.examples.dialogues import Dialogues
from components.lib.examples.permutation import draw
from components.lib.examples.shards import Sequences
from components.lib.inference.held_out import HeldOut
from components.lib.inference.torch_model import TorchModel
from components.lib.ledger.chain import batch_hash, read
from components.lib.models.folders import load_model, load_tokenizer
from components.lib.models.lora import LoRA
from components.lib.tasks.microtasks import read_microtasks
from components.lib.text.chat import encode_prompt
from components.lib.text.dialogue import Dialogue, Message
from components.lib.training.hyperparameters import EpochHyperparameters, Hyperparameters
from tests.components.interrupted import leave


@torch.no_grad()
def nats_per_token(folder, tasks) -> float:
    """Return the mean nats of an answer's tokens, with transformers' own loss."""
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    total, count = 0.0, 0
    for index in range(len(tasks)):
        batch = Dialogues(tokenizer, [task.dialogue() for task in tasks], 8).batch(
            np.array([index])
        )
        logits = model(input_ids=torch.from_numpy(batch.inputs)).logits[0].log_softmax(-1)
        for place, target in enumerate(batch.targets[0].tolist()):
            if target != IGNORED:
                total, count = total - float(logits[place, target]), count + 1
    return total / count


def test_held_out_answers_get_much_likelier(checkpoint, instruct, instructions, read_spool):
    tasks = read_microtasks(instructions.path / "validation.jsonl")[:40]
    before, after = nats_per_token(checkpoint.path, tasks), nats_per_token(instruct.path, tasks)
    assert before > 3.0
    assert after < 1.0
    validated = [
        p["validation_loss"] for _, p in read_spool(instruct.path) if "validation_loss" in p
    ]
    assert validated[-1] == pytest.approx(after, abs=0.25), "it is validated on something else"


def test_the_model_before_is_left_as_it_was_and_the_new_one_stands_on_its_own(checkpoint, instruct):
    old, new = load_model(checkpoint.path), load_model(instruct.path)
    assert instruct.num_parameters == checkpoint.num_parameters
    assert not torch.equal(old.model.embed_tokens.weight, new.model.embed_tokens.weight)
    assert load_tokenizer(instruct.path).chat_template
    assert not (instruct.path / "checkpoints").exists()


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not(
    checkpoint, instructions, shards, tmp_path
):
    def train(name: str, seed: int) -> bytes:
        (tmp_path / name).mkdir()
        training = Hyperparameters(num_steps=3, batch_size=4, learning_rate=0.01, seed=seed)
        inputs = SFTInputs(model=checkpoint, instructions=instructions, shards=shards)
        SFT(training=training).run(inputs, tmp_path / name)
        return (tmp_path / name / "model.safetensors").read_bytes()

    assert train("a", 0) == train("b", 0)
    assert train("c", 1) != (tmp_path / "a" / "model.safetensors").read_bytes()


def test_the_ledger_names_the_dialogues_of_each_step(checkpoint, instruct, instructions, shards):
    """A step's examples follow from the seed and its draw alone: so a resumed run sees the same."""
    tasks = read_microtasks(instructions.path / "train.jsonl")
    component = SFT(training=Hyperparameters(num_steps=40, batch_size=16, learning_rate=0.01))
    dialogues = Dialogues(
        load_tokenizer(checkpoint.path),
        [task.dialogue() for task in tasks],
        component.sequence_length,
    )
    text = Sequences(shards.path / "train", component.replay_length)
    examples = WithReplay(dialogues, text, component.replay_share)
    entries = read(instruct.path)
    assert [entry.step for entry in entries] == list(range(1, 41))
    for entry in entries:
        batch = examples.batch(draw(entry.draw, 16, len(examples), seed=0))
        assert f"{batch_hash(batch) % (1 << 64):016x}" == entry.batch
        assert len(batch) == entry.examples


@pytest.mark.slow
def test_two_processes_see_what_one_sees_though_a_sequence_is_all_there_is(
    checkpoint, instructions, shards, tmp_path, monkeypatch
):
    def train(name: str) -> tuple[bytes, dict[str, torch.Tensor]]:
        (tmp_path / name).mkdir()
        training = Hyperparameters(num_steps=4, batch_size=2, learning_rate=0.001)
        inputs = SFTInputs(model=checkpoint, instructions=instructions, shards=shards)
        SFT(training=training).run(inputs, tmp_path / name)
        ledger = (tmp_path / name / "ledger.jsonl").read_bytes()
        return ledger, load_model(tmp_path / name).state_dict()

    alone = train("alone")
    assert {entry.examples for entry in read(tmp_path / "alone")} == {1}
    monkeypatch.setenv("BLOOMERY_NUM_WORKERS", "2")
    settings.cache_clear()
    together = train("together")
    assert together[0] == alone[0]
    for name, weights in alone[1].items():
        assert torch.allclose(together[1][name], weights, atol=2e-3), name


def test_a_model_without_a_tokenizer_is_refused(checkpoint, instructions, shards, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).symlink_to(checkpoint.path / name)
    model = checkpoint.model_copy(update={"path": bare})
    inputs = SFTInputs(model=model, instructions=instructions, shards=shards)
    training = Hyperparameters(num_steps=1, batch_size=4, learning_rate=0.01)
    with pytest.raises(ValueError, match=r"no tokenizer\.json"):
        SFT(training=training).run(inputs, tmp_path)


def test_with_replay_less_of_the_text_is_forgotten(checkpoint, instructions, shards, tmp_path):
    held_out = HeldOut(shards, "test", 64, 30)

    def bits_after(share: float) -> float:
        out = tmp_path / str(share)
        out.mkdir()
        training = Hyperparameters(num_steps=30, batch_size=16, learning_rate=0.01)
        inputs = SFTInputs(model=checkpoint, instructions=instructions, shards=shards)
        SFT(training=training, replay_share=share).run(inputs, out)
        return held_out.bits_per_byte(TorchModel(load_model(out)))

    before = held_out.bits_per_byte(TorchModel(load_model(checkpoint.path)))
    without, replayed = bits_after(0.0), bits_after(0.25)
    assert without > before + 0.3, "nothing was forgotten, so nothing is shown"
    assert replayed < without - 0.3


def test_more_text_than_instructions_is_refused_since_a_batch_cannot_hold_it():
    training = Hyperparameters(num_steps=1, batch_size=4, learning_rate=0.01)
    with pytest.raises(ValueError, match="replay_share"):
        SFT(training=training, replay_share=0.6)


LORA = Hyperparameters(
    num_steps=40,
    batch_size=16,
    learning_rate=0.01,
    optimizer="adamw",
    embedding_multiplier=1.0,
    checkpoint_every=5,
)


@pytest.fixture(scope="module")
def tuned(checkpoint, instructions, shards, tmp_path_factory):
    """The base after its adapter saw what `instruct` saw."""
    inputs = SFTInputs(model=checkpoint, instructions=instructions, shards=shards)
    return SFT(training=LORA, lora=LoRA(rank=8)).run(inputs, tmp_path_factory.mktemp("lora"))


def test_an_adapter_learns_and_is_saved_alone_and_merged(checkpoint, tuned, instructions):
    tasks = read_microtasks(instructions.path / "validation.jsonl")[:40]
    before, after = nats_per_token(checkpoint.path, tasks), nats_per_token(tuned.path, tasks)
    assert after < before - 1.0
    assert tuned.num_parameters == checkpoint.num_parameters
    base, merged = load_model(checkpoint.path), load_model(tuned.path)
    assert torch.equal(base.model.embed_tokens.weight, merged.model.embed_tokens.weight)
    adapter = PeftModel.from_pretrained(base, tuned.path / "adapter").eval()
    tokenizer = load_tokenizer(tuned.path)
    for task in tasks[:10]:
        prompt = torch.tensor([encode_prompt(tokenizer, task.prompt)])
        made = [
            model.generate(input_ids=prompt, max_new_tokens=16, do_sample=False)
            for model in (adapter, merged)
        ]
        assert torch.equal(*made), "the merged model says something else than its adapter"


def test_an_adapter_told_to_leave_goes_on_to_the_same_weights(
    checkpoint, tuned, instructions, shards, tmp_path
):
    inputs = SFTInputs(model=checkpoint, instructions=instructions, shards=shards)
    component = SFT(training=LORA, lora=LoRA(rank=8))
    done = leave(component, inputs, tmp_path, after=5)
    assert 0 < done < 40, "it was to be stopped half-way"
    weights = next((tmp_path / "checkpoints").rglob("*.distcp"), None)
    assert weights is None or weights.stat().st_size < checkpoint.bytes_on_disk
    resumed = component.run(inputs, tmp_path)
    for name in ("adapter/adapter_model.safetensors", "model.safetensors", "ledger.jsonl"):
        assert (resumed.path / name).read_bytes() == (tuned.path / name).read_bytes(), name


def test_an_adapter_over_a_base_in_four_bits_learns_and_is_merged(
    checkpoint, instructions, shards, tmp_path
):
    inputs = SFTInputs(model=checkpoint, instructions=instructions, shards=shards)
    training = LORA.model_copy(update={"num_steps": 20, "checkpoint_every": 200})
    made = SFT(training=training, lora=LoRA(rank=8, base="nf4")).run(inputs, tmp_path)
    tasks = read_microtasks(instructions.path / "validation.jsonl")[:20]
    assert nats_per_token(made.path, tasks) < nats_per_token(checkpoint.path, tasks) - 0.5
    assert (made.path / "merge.json").exists()


def dialogue(name: str, number: int) -> Dialogue:
    said = (
        ("user", f"Say {number}"),
        ("assistant", f"{number}"),
        ("user", "Again"),
        ("assistant", "no"),
    )
    messages = tuple(Message(role=role, content=text) for role, text in said)
    return Dialogue(id=f"{name}/{number}", messages=messages)


@pytest.fixture
def own_dialogues(tmp_path_factory) -> Instructions:
    """Two sets of dialogues of four messages, prepared."""
    folder = tmp_path_factory.mktemp("dialogues")
    rows = [dialogue("few", n) for n in range(8)] + [dialogue("many", n) for n in range(40)]
    for name, some in (("train", rows), ("validation", rows[::6])):
        lines = (row.model_dump_json() + "\n" for row in some)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return Instructions(path=folder, revision="1.dir")


def test_own_dialogues_are_learnt_by_weight_with_noise_and_a_stopped_run_goes_on(
    checkpoint, own_dialogues, shards, tmp_path, read_spool
):
    inputs = SFTInputs(model=checkpoint, instructions=own_dialogues, shards=shards)
    training = EpochHyperparameters(
        num_epochs=12, batch_size=16, learning_rate=0.01, checkpoint_every=7, evaluate_every=60
    )
    component = SFT(training=training, weights={"few": 1, "many": 1}, neftune_alpha=5.0)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for out in (whole, stopped):
        out.mkdir()
    component.run(inputs, whole)
    seen = {name: value for _, point in read_spool(whole) for name, value in point.items()}
    assert seen["epochs.few"] == pytest.approx(5 * seen["epochs.many"])
    assert seen["epochs.many"] == pytest.approx(12, rel=0.02)
    assert seen["validation_loss"] < 1.0
    leave(component, inputs, stopped, after=10)
    assert 0 < len(read(stopped)) < len(read(whole))
    component.run(inputs, stopped)
    for name in ("model.safetensors", "ledger.jsonl"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes(), name


def test_weights_that_are_none_or_of_other_sets_are_refused(
    checkpoint, own_dialogues, shards, tmp_path
):
    with pytest.raises(ValueError, match=r"weights must be above 0, and these are not: \{'few': 0"):
        SFT(weights={"few": 0})
    inputs = SFTInputs(model=checkpoint, instructions=own_dialogues, shards=shards)
    with pytest.raises(ValueError, match=r"weights are of few, and the dialogues are of few, many"):
        SFT(weights={"few": 1}).run(inputs, tmp_path)
