"""Register: a version in a real MLflow registry, whose folder loads without code of ours."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.compress.quantize import Quantize
from components.core.artifacts.data import (
    Comparisons,
    DataCard,
    Dialogues,
    Instructions,
    Preferences,
)
from components.core.artifacts.models import Checkpoint, CompressedModel, GGUFModel
from components.core.artifacts.reports import (
    BaselineReport,
    Interval,
    ProbeReport,
    StageReport,
    Verdict,
)
from components.core.record import Record, write_record
from components.core.settings import settings
from components.data.prepare_dialogues import PrepareDialogues, PrepareDialoguesInputs
from components.data.prepare_pairs import PreparePairs, PreparePairsInputs
from components.pretrain.existing import Adopt
from components.pretrain.model_files import ModelFiles
from components.release.description import description
from components.release.model_card import Facts
from components.release.opponent import is_champion, opponent
from components.release.register import Register, RegisterInputs
from components.release.registry import champion, roll_back
from tests.components.data.preparation.sets import (
    a_tokenizer,
    evaluation_of,
    messages,
    write_rows,
)

pytest.importorskip("mlflow")


def _folder(name: str) -> Path:
    folder = settings().artifacts / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _report(name: str, accuracy: float) -> ProbeReport:
    """Return a report with its record beside it, as `execute` leaves it."""
    report = ProbeReport(
        path=_folder(f"evals.probe/1.0.0/{name}"),
        model=name,
        bits_per_byte=2.5,
        accuracy=accuracy,
        accuracy_interval=Interval(low=0.1, high=0.9),
        accuracy_by_task={},
    )
    record = Record(
        component="evals.probe",
        version="1.0.0",
        fingerprint=name,
        config={},
        inputs={},
        artifact=report.model_dump(mode="json"),
        files={},
        seed=None,
        seconds=0.0,
        packages={},
        git_revision=None,
        data_revision=None,
        mlflow_run_id=None,
    )
    write_record(record, report.path)
    return report


def _small(name: str) -> CompressedModel:
    folder = _folder(f"compress.quantize/1.0.0/{name}")
    (folder / "model.onnx").write_bytes(b"graph of " + name.encode())
    (folder / "artifact.json").write_text("the record of the export")
    return CompressedModel(
        path=folder,
        num_parameters=1,
        bytes_on_disk=1,
        decode_tokens_per_second=1.0,
        original_bytes_on_disk=1,
        original_decode_tokens_per_second=1.0,
    )


def _card() -> DataCard:
    folder = _folder("data.card/1.0.0/card")
    (folder / "report").mkdir(exist_ok=True)
    rows = {
        "letters": {"documents": 3, "bytes": 2_000_000, "words": 9, "licences": {"CC-BY-4.0": 3}},
        "web": {"documents": 1, "bytes": 10_000, "words": 9, "licences": {"not stated": 1}},
    }
    written = json.dumps({"statistics": {"by_source": rows}})
    (folder / "report" / "card.json").write_text(written)
    return DataCard(path=folder, num_documents=4, num_tokens=1234, measures={})


def _release(model_name: str, candidate: str, model: Checkpoint, **changes):
    verdict = _folder(f"release.gate/1.0.0/{candidate}")
    (verdict / "verdict.json").write_text(json.dumps({"passed": True, "checks": []}))
    small = _small(candidate)
    inputs = RegisterInputs(
        **{
            "verdict": Verdict(path=verdict, passed=True, failures=()),
            "model": model,
            "compressed": small,
            "baselines": BaselineReport(path=Path("/nowhere/n"), unigram=4.0, trigram=3.0),
            "ledger": (
                StageReport(stage="align", report=_report(f"{candidate}-aligned", 0.625)),
                StageReport(stage="compress", report=_report(f"{candidate}-small", 0.5)),
            ),
            "data": _card(),
            "champion": opponent(model_name, small),
            **changes,
        }
    )
    out = _folder(f"release.register/1.0.0/{candidate}")
    return Register(model_name=model_name).run(inputs, out)


def test_a_release_is_the_next_version_and_the_champion(instruct):
    first = _release("otter", "one", instruct)
    assert (first.name, first.registered_version, first.alias) == ("otter", 1, "champion")
    second = _release("otter", "two", instruct)
    assert second.registered_version == 2
    current = champion("otter")
    assert current is not None
    assert current.version == 2
    assert current.folder == second.path


def test_a_version_is_described_by_what_it_is_and_scored_and_loads_as_it_says(instruct, tmp_path):
    import mlflow
    from transformers import AutoModelForCausalLM

    made = _release("heron-described", "described", instruct)
    small = _small("described")
    ledger = (StageReport(stage="align", report=_report("described-small", 0.5)),)
    facts = Facts(
        name=made.name,
        model=instruct,
        compressed=small,
        baselines=BaselineReport(path=Path("/nowhere/n"), unigram=4.0, trigram=3.0),
        ledger=ledger,
        data=_card(),
    )
    said = description(facts, made)
    assert said.splitlines()[0].startswith("**A language model of ")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines()]
    assert ["bits per byte", "2.500 (trigrams: 3.000)"] in rows
    assert ["accuracy (95 %)", "50.0% (10.0 to 90.0)"] in rows
    assert ["decoding", "1 tokens/s (1.0 x float32)"] in rows
    assert ["licence", "of its data: CC-BY-4.0"] in rows
    (code,) = re.findall(r"```python\n(.*?)```", said, re.DOTALL)
    mlflow.set_tracking_uri(settings().tracking_uri)
    names = {"mlflow": mlflow, "AutoModelForCausalLM": AutoModelForCausalLM}
    exec(code, names)
    assert names["model"].config.vocab_size > 0


def test_a_release_that_was_interrupted_keeps_its_version(instruct):
    first = _release("heron", "one", instruct)
    again = _release("heron", "one", instruct)
    assert again.registered_version == first.registered_version == 1


def test_the_released_folder_is_whole_and_holds_none_of_the_working_files(instruct):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = _release("badger", "one", instruct)
    model = AutoModelForCausalLM.from_pretrained(made.path, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(made.path, local_files_only=True)
    assert model.config.vocab_size == len(tokenizer)
    assert (made.path / "onnx" / "model.onnx").read_bytes() == b"graph of one"
    card = (made.path / "README.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in card.splitlines()]
    assert ["align", "2.5000", "62.5% (10.0% to 90.0%)"] in rows
    assert ["compress", "2.5000", "50.0% (10.0% to 90.0%)"] in rows
    assert ["trigram baseline (Kneser-Ney)", "3.0000", ""] in rows
    assert ["letters", "3", "2.00 MB", "CC-BY-4.0 (3)"] in rows
    assert json.loads((made.path / "verdict.json").read_text())["passed"] is True
    names = {file.name for file in made.path.rglob("*")}
    assert not names & {"artifact.json", "metrics.jsonl", "checkpoints"}


def _sets(tmp_path) -> tuple[Dialogues | Comparisons, ...]:
    """Prepare a set of dialogues, of which some rows name a licence, and a set of comparisons."""
    asked = [{"messages": messages(f"What is {n}?", f"It is {n}.")} for n in range(6)]
    pairs = [{"prompt": messages("Who?"), "chosen": f"{n}.", "rejected": "no"} for n in range(3)]
    write_rows(tmp_path / "i", "mine", "dialogues.jsonl", asked)
    write_rows(tmp_path / "p", "pairs", "comparisons.jsonl", pairs)
    about = {"formats": {"Alpaca": 6}, "licenses": {"": 2, "MIT": 4}}
    (tmp_path / "i" / "mine" / "about.json").write_text(json.dumps(about))
    inputs = {
        "evaluation": evaluation_of(tmp_path / "e", "nothing that anybody says here"),
        "vocabulary": a_tokenizer(tmp_path / "vocabulary"),
        "max_length": 100,
    }
    dialogues = PrepareDialoguesInputs(
        instructions=Instructions(path=tmp_path / "i", revision="1.dir"), **inputs
    )
    comparisons = PreparePairsInputs(
        preferences=Preferences(path=tmp_path / "p", revision="1.dir"), **inputs
    )
    return (
        PrepareDialogues().run(dialogues, _folder("data.prepare_dialogues/1.1.0/learnt")),
        PreparePairs().run(comparisons, _folder("data.prepare_pairs/1.1.0/learnt")),
    )


def test_the_card_names_the_sets_that_were_learnt_and_their_licences(instruct, tmp_path):
    sets = _sets(tmp_path)
    made = _release("badger", "one", instruct, sets=sets)
    card = (made.path / "README.md").read_text("utf-8")
    rows = [[cell.strip() for cell in _split(line)[1:-1]] for line in card.splitlines()]
    assert ["kind", "set", "learnt", "held out", "licences (rows)"] in rows
    assert ["instructions", "mine", "5", "1", "not stated (2), MIT (4)"] in rows
    assert ["preferences", "pairs", "3", "0", "not stated"] in rows
    assert 'license_name: "of its data: CC-BY-4.0, MIT"' in card.splitlines()
    facts = Facts(
        name=made.name,
        model=instruct,
        compressed=None,
        baselines=BaselineReport(path=Path("/nowhere/n"), unigram=4.0, trigram=3.0),
        ledger=(StageReport(stage="align", report=_report("badger-aligned", 0.5)),),
        data=_card(),
        sets=sets,
    )
    lines = description(facts, made).splitlines()
    said = [[cell.strip() for cell in _split(line)[1:-1]] for line in lines]
    assert ["licence", "of its data: CC-BY-4.0, MIT"] in said
    assert ["learnt after that", "mine (5), pairs (3)"] in said


def test_the_card_says_what_was_forgotten_and_what_the_merge_changed(instruct, tmp_path):
    ledger: list[StageReport] = []
    for stage, bits in (("pretrain", 1.129), ("finetune", 1.108)):
        told = {"texts": {"wiki": bits}, "answer_nats": 2.0 * bits}
        report = _report(f"polecat-{stage}", 0.5).model_copy(update=told)
        scores = {"text_scores": {"wiki": {"perplexity": 10 * bits}}}
        (report.path / "report.json").write_text(json.dumps(scores))
        ledger.append(StageReport(stage=stage, report=report))
    merged = tmp_path / "merged"
    shutil.copytree(instruct.path, merged)
    proof = {"tokens": 1536, "largest_difference": 0.00018, "largest_logit": 44.2}
    (merged / "merge.json").write_text(json.dumps({**proof, "same_greedy_tokens": 1.0}))
    model = instruct.model_copy(update={"path": merged})
    made = _release("polecat", "one", model, ledger=tuple(ledger))
    card = (made.path / "README.md").read_text("utf-8")
    rows = [[cell.strip() for cell in _split(line)[1:-1]] for line in card.splitlines()]
    assert ["pretrain", "2.2580", "1.1290", "11.2900"] in rows
    assert ["finetune", "2.2160", "1.1080", "11.0800"] in rows
    assert "logits within 0.00018 of the adapter's" in card
    assert "100% of the likeliest tokens the same, on 1,536 tokens" in card


def test_a_release_of_a_foreign_base_has_its_tokenizer_byte_by_byte_and_says_what_it_was(tmp_path):
    place = Path(__file__).parents[1] / "pretrain" / "foreign.py"
    spec = importlib.util.spec_from_file_location("foreign", place)
    assert spec is not None
    assert spec.loader is not None
    foreign = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(foreign)
    folder = foreign.smol(tmp_path / "model")
    base = Adopt().run(ModelFiles.of(folder), _folder("pretrain.existing/2.0.0/base"))
    made = _release("stoat", "one", base)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (made.path / name).read_bytes() == (folder / name).read_bytes(), name
    card = (made.path / "README.md").read_text("utf-8")
    rows = {cells[1].strip(): cells[2].strip() for cells in map(_split, card.splitlines()) if cells}
    assert rows["base"] == str(folder)
    assert rows["content of the base"] == f"`{ModelFiles.of(folder).fingerprint}`"
    assert rows["chat template"] == "its own"
    assert rows["context"] == "256 tokens"


def _split(line: str) -> list[str]:
    """Return the cells of a row of a table, none of any other line."""
    return line.split("|") if line.startswith("|") else []


def test_a_gguf_file_is_shipped_and_its_card_says_how_well_it_stands_for_the_model(instruct):
    folder = _folder("compress.choose/1.0.0/gguf")
    (folder / "model.gguf").write_bytes(b"GGUF")
    kept = {"refusals_kept": 0.75, "tool_calls_kept": None}
    found = {"coverage": 1.0, "divergence": 0.0196, "flipped": 0.127, "margin_kept": 0.97}
    told = {**found, **kept, "decisions_flipped": 0.02}
    (folder / "fidelity.json").write_text(json.dumps(told))
    small = GGUFModel(
        path=folder,
        num_parameters=1,
        bytes_on_disk=2_000_000,
        decode_tokens_per_second=6.0,
        original_bytes_on_disk=1,
        original_decode_tokens_per_second=2.0,
        quantization="q4_0",
        tensors={"Q4_0": 1},
        context_length=64,
        disagreement=0.1,
        same_choice=0.9,
    )
    made = _release("gecko", "gguf", instruct, compressed=small)
    assert (made.path / "gguf" / "model.gguf").read_bytes() == b"GGUF"
    assert not (made.path / "onnx").exists()
    card = (made.path / "README.md").read_text("utf-8")
    assert 'tags: ["bloomery", "gguf"]' in card
    assert "2.0 MB under `gguf/`" in card
    assert "llama-cli -m gguf/model.gguf" in card
    assert re.search(r"KL to the original, nats a token *\| 0\.0196", card)
    assert re.search(r"refusals that are kept *\| 75%", card)
    assert "calls of tools" not in card


def test_the_registry_holds_the_files_too(instruct):
    from mlflow import MlflowClient

    made = _release("fox", "one", instruct)
    version = MlflowClient(settings().tracking_uri).get_model_version("fox", "1")
    (stored,) = (
        settings().home.parent.parent.rglob(
            f"{version.source.rpartition('/')[2]}/artifacts/model.safetensors"
        )
        if not version.source.startswith("file:")
        else [Path(version.source.removeprefix("file://")) / "model.safetensors"]
    )
    assert stored.read_bytes() == (made.path / "model.safetensors").read_bytes()


def test_a_model_that_did_not_pass_is_never_registered(instruct):
    failed = Verdict(path=Path("/nowhere"), passed=False, failures=("accuracy lost: 0.5",))
    with pytest.raises(ValueError, match=r"did not pass: accuracy lost: 0\.5"):
        _release("weasel", "one", instruct, verdict=failed)
    assert champion("weasel") is None


def test_a_candidate_is_held_against_the_champion_and_never_against_itself(instruct):
    assert opponent("stoat", _small("one")) is None
    _release("stoat", "one", instruct)
    held_against = opponent("stoat", _small("two"))
    assert held_against is not None
    assert held_against.model == "one-small"
    assert opponent("stoat", _small("one")) is None, "it had no opponent when it was released"

    _release("stoat", "two", instruct)
    again = opponent("stoat", _small("two"))
    assert again is not None
    assert again.model == "one-small", "the same recipe must find the same verdict again"
    assert opponent("stoat", _small("three")).model == "two-small"


def test_a_report_of_the_champion_that_is_gone_is_an_error_and_not_a_free_pass(instruct):
    _release("marten", "one", instruct)
    (settings().artifacts / "evals.probe/1.0.0/one-small/artifact.json").unlink()
    with pytest.raises(ValueError, match="report of marten version 1 is gone"):
        opponent("marten", _small("two"))


def test_a_rollback_moves_the_alias_and_says_who_did_it_and_why(instruct):
    first = _release("lynx", "one", instruct)
    _release("lynx", "two", instruct)
    _release("lynx", "three", instruct)
    assert roll_back("lynx", to=None, by="Ada", why="answers in French").version == 2
    assert roll_back("lynx", to=1, by="Ada", why="still does").version == 1
    current = champion("lynx")
    assert current is not None
    assert current.folder == first.path
    assert is_champion("lynx", _small("one"))
    from mlflow import MlflowClient

    tags = MlflowClient(settings().tracking_uri).get_model_version("lynx", "3").tags
    assert tags["rolled_back_to"] == "2"
    assert (tags["rolled_back_by"], tags["rolled_back_why"]) == ("Ada", "answers in French")


def test_a_rollback_to_nowhere_is_an_error_with_the_versions_there_are(instruct):
    with pytest.raises(ValueError, match="'genet' has no version with the alias 'champion'"):
        roll_back("genet", to=None, by="Ada", why="")
    _release("genet", "one", instruct)
    for to in (None, 1, 9):
        with pytest.raises(ValueError, match=r"cannot go from version 1.*There are: 1\."):
            roll_back("genet", to=to, by="Ada", why="")
    current = champion("genet")
    assert current is not None
    assert current.version == 1


def test_without_compression_the_model_itself_is_the_candidate(instruct):
    ledger = (StageReport(stage="align", report=_report("bare-aligned", 0.625)),)
    made = _release("vole", "bare", instruct, compressed=None, ledger=ledger)
    assert not (made.path / "onnx").exists()
    card = (made.path / "README.md").read_text("utf-8")
    assert "ONNX" not in card
    assert is_champion("vole", instruct)
    held_against = opponent("vole", _small("other"))
    assert held_against is not None
    assert held_against.model == "bare-aligned"


def test_the_examples_of_the_card_run_as_they_are_written(instruct, tmp_path):
    (tmp_path / "int8").mkdir()
    small = Quantize().run(instruct, tmp_path / "int8")
    made = _release("mole", "one", instruct, compressed=small)
    card = (made.path / "README.md").read_text("utf-8")
    examples = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert ["onnxruntime_genai" in code for code in examples] == [False, True]
    for code in examples:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=made.path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
