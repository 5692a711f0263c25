"""What is shipped asks and stops as it was taught: each planted damage is named by the gate."""

import json
import shutil
from pathlib import Path

import pytest

from components.compress.quantize import Quantize
from components.compress.to_gguf import ToGGUF
from components.core.artifacts.reports import (
    BaselineReport,
    Interval,
    ProbeReport,
    StageReport,
)
from components.lib.models.folders import load_tokenizer
from components.release.chat_checks import chat_checks
from components.release.endings import ending_checks
from components.release.gate import Gate, GateInputs
from components.release.shipped import Shipped

TEMPLATE = (
    "chat template: dialogues of 5 that the released model reads otherwise than it was taught"
)
ENDS = "end tokens: those at which the released model stops otherwise than it was taught"
REPORT = ProbeReport(
    path=Path("/nowhere/report"),
    model="one",
    bits_per_byte=2.0,
    accuracy=0.5,
    accuracy_interval=Interval(low=0.0, high=1.0),
    accuracy_by_task={},
)


@pytest.fixture
def shipped(checkpoint, instruct, evaluation, tmp_path) -> Shipped:
    """A copy of the fine-tuned model, which may be damaged, beside the base that it was made of."""
    model = shutil.copytree(instruct.path, tmp_path / "model")
    return Shipped(
        base=checkpoint,
        model=instruct.model_copy(update={"path": model}),
        compressed=None,
        evaluation=evaluation,
    )


def failures(shipped, tmp_path) -> tuple[str, ...]:
    inputs = GateInputs(
        baselines=BaselineReport(path=Path("/nowhere/n"), unigram=4.0, trigram=3.0),
        ledger=(StageReport(stage="finetune", report=REPORT),),
        champion=None,
        shipped=shipped,
    )
    out = tmp_path / "verdict"
    out.mkdir()
    return Gate().run(inputs, out).failures


def say_eos(file: Path, *keys: str, eos: object) -> None:
    """Write another `eos_token_id` into a config."""
    said = json.loads(file.read_text())
    part = said
    for key in keys:
        part = part[key]
    part["eos_token_id"] = eos
    file.write_text(json.dumps(said))


def with_template(folder: Path, change) -> None:
    tokenizer = load_tokenizer(folder)
    tokenizer.chat_template = change(tokenizer.chat_template)
    tokenizer.save_pretrained(folder)


def test_a_sound_model_and_its_export_pass_and_every_check_is_on_record(shipped, tmp_path):
    (tmp_path / "int8").mkdir()
    small = Quantize().run(shipped.model, tmp_path / "int8")
    both = shipped.model_copy(update={"compressed": small})
    assert failures(both, tmp_path) == ()
    checks = json.loads((tmp_path / "verdict" / "verdict.json").read_text())["checks"]
    names = [check["name"] for check in checks if "taught" in check["name"]]
    assert [name.partition(":")[0] for name in names] == ["chat template", "end tokens"] * 2
    say_eos(small.path / "genai_config.json", "model", eos=7)
    (wrong,) = [check for check in chat_checks(both) if not check.holds]
    assert wrong.name == ENDS.replace("the released model", "its export")


def test_another_chat_template_is_caught_and_shown_where_it_differs(shipped, tmp_path):
    with_template(shipped.model.path, lambda text: text.replace("add_generation_prompt", "false"))
    (sentence,) = failures(shipped, tmp_path)
    assert sentence == (
        f"{TEMPLATE}: 2.0000 against at most 0.0000, fails by 2.0000 (after 22 characters '' in "
        "place of '<|assistant|>')"
    )


def test_a_vocabulary_of_other_tokens_and_a_template_of_other_words_are_caught(shipped):
    folder = shipped.model.path
    before = (folder / "tokenizer.json").read_text()
    changed = json.loads(before)
    changed["model"]["merges"] = []
    (folder / "tokenizer.json").write_text(json.dumps(changed))
    template, _ = chat_checks(shipped)
    assert template.value == 5
    assert template.detail.startswith("the same text, as ")
    (folder / "tokenizer.json").write_text(before)
    with_template(folder, lambda text: text.replace("message['content']", "message['role']"))
    assert next(iter(chat_checks(shipped))).value == 5


@pytest.mark.parametrize("eos", [9, [0, 9], None])
def test_an_end_token_that_no_answer_was_taught_to_end_with_is_caught(shipped, tmp_path, eos):
    for name in ("generation_config.json", "config.json"):
        say_eos(shipped.model.path / name, eos=eos)
    found = [sentence for sentence in failures(shipped, tmp_path) if sentence.startswith(ENDS)]
    assert len(found) == 1
    assert "answers end with <|endoftext|>, it stops at " in found[0]
    assert ("it stops at none" in found[0]) is (eos is None)


def test_a_generation_config_alone_that_names_another_end_is_caught(shipped, tmp_path):
    say_eos(shipped.model.path / "generation_config.json", eos=9)
    (sentence,) = failures(shipped, tmp_path)
    assert sentence.startswith(f"{ENDS}: 2.0000 against at most 0.0000")


def test_answers_that_never_end_are_caught_though_the_end_was_learnt(shipped):
    sound = list(ending_checks(shipped, 16, 0.5))
    assert len(sound) == 1
    assert sound[0].holds
    for name in ("generation_config.json", "config.json"):
        say_eos(shipped.model.path / name, eos=None)
    (check,) = ending_checks(shipped, 16, 0.5)
    assert check.value == 1.0
    assert check.sentence().startswith("ends: share of ")
    assert "answers of the released model that do not end within 128 tokens" in check.name


def test_of_a_model_that_has_learnt_no_end_no_answer_is_asked(shipped, checkpoint):
    same = shipped.model_copy(update={"model": checkpoint})
    assert list(ending_checks(same, 16, 0.5)) == []
    other = checkpoint.model_copy(update={"fingerprint": "hardly trained"})
    untaught = shipped.model_copy(update={"model": other})
    assert list(ending_checks(untaught, 16, 0.5)) == []
    assert all(check.holds for check in chat_checks(untaught))


def test_a_gguf_file_stops_where_it_says_and_a_planted_wrong_end_is_named(shipped, tmp_path):
    pytest.importorskip("xllamacpp")
    from gguf import GGUFReader

    (folder := tmp_path / "gguf").mkdir()
    small = shipped.model_copy(update={"compressed": ToGGUF().run(shipped.model, folder)})
    assert all(check.holds for check in chat_checks(small))
    field = GGUFReader(folder / "model.gguf", "r+").get_field("tokenizer.ggml.eos_token_id")
    field.parts[field.data[0]][0] += 5
    (wrong,) = (check for check in chat_checks(small) if not check.holds)
    assert wrong.name == ENDS.replace("the released model", "its export")
