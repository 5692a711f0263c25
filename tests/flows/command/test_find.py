"""What is behind a name, and `bloomery ledger` on it: a run, a model, an artifact, or nothing."""

import json

import pytest
from typer.testing import CliRunner

from components.core.execute import execute
from components.core.journal import Origin, Step, write_step
from components.core.record import InputRecord, read_record, write_record
from components.core.settings import settings
from components.data.clean import Clean
from components.data.deduplicate import Deduplicate, DeduplicateInputs
from components.data.document import read_documents
from components.lib.ledger.chain import read
from flows.cards import documents_of_run
from flows.command.app import app
from flows.command.find import find_pretraining


def _journal(run_name: str, *folders) -> None:
    for folder in folders:
        record = read_record(folder)
        step = Step(
            component=record.component,
            version=record.version,
            fingerprint=record.fingerprint,
            cached=True,
            seconds=1.0,
            path=folder,
        )
        origin = Origin(run_id=f"id-{run_name}", run_name=run_name, flow="pipeline")
        write_step(origin, step)


def _made_from(folder, component: str):
    """Leave the record of a component that made something of the artifact in `folder`."""
    source = InputRecord(path=folder, fingerprint=folder.name)
    update = {"component": component, "inputs": {"model": source}, "fingerprint": component}
    out = settings().artifacts / component / "1.0.0" / component
    out.mkdir(parents=True)
    write_record(read_record(folder).model_copy(update=update), out)
    return out


def test_the_documents_of_a_run_are_what_its_deduplication_kept(documents):
    origin = Origin(run_id="id-1", run_name="brave-otter", flow="data")
    clean = execute(Clean(), documents, origin)
    with pytest.raises(ValueError, match="'brave-otter' has deduplicated no documents"):
        documents_of_run("brave-otter")
    kept = execute(Deduplicate(), DeduplicateInputs(documents=clean), origin)
    assert documents_of_run("brave-otter") == documents_of_run("id-1") == kept


@pytest.fixture
def pretrained(trained):
    return trained([0, 1, 2, 3])


@pytest.fixture
def ask():
    """Return a function that runs `bloomery ledger` and returns what it prints."""

    def ask(*words: str) -> str:
        done = CliRunner().invoke(app, ["ledger", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return ask


def test_a_run_a_model_and_an_artifact_lead_to_their_pretraining(pretrained):
    tuned = _made_from(pretrained, "finetune.sft")
    aligned = _made_from(tuned, "align.dpo")
    _journal("brave-otter", pretrained, tuned)
    _journal("calm-heron", aligned)
    names = [
        "brave-otter",
        "id-brave-otter",
        "calm-heron",
        str(aligned),
        "align.dpo/1.0.0/align.dpo",
    ]
    assert [find_pretraining(name) for name in [*names, str(pretrained)]] == [pretrained] * 6


def test_a_name_that_nothing_has_is_an_error_that_says_where_was_looked(home):
    with pytest.raises(ValueError, match=r"No flow run 'weasel' in .*runs\. No model 'weasel'"):
        find_pretraining("weasel")


def test_a_run_without_a_pretraining_is_an_error(pretrained):
    record = read_record(pretrained).model_copy(update={"component": "data.clean", "inputs": {}})
    write_record(record, pretrained)
    _journal("brave-otter", pretrained)
    with pytest.raises(ValueError, match=r"No pretraining is behind brave-otter"):
        find_pretraining("brave-otter")


def test_the_command_shows_a_whole_training_a_step_and_a_document(pretrained, ask, corpus):
    _journal("brave-otter", pretrained)
    chain = read(pretrained)[-1].chain
    assert chain in ask("brave-otter")
    seen = json.loads(ask("brave-otter", "--step", "4", "--json"))
    assert (seen["step"], seen["chain"], seen["verified"]) == (4, chain, True)
    shown = ask("brave-otter", "--step", "4")
    assert "verified" in shown
    name = seen["documents"][0]["id"]
    assert name in shown
    found = json.loads(ask("brave-otter", "--document", name, "--json"))
    assert 4 in [sighting["step"] for sighting in found["sightings"]]
    assert name in ask("brave-otter", "--document", name)
    (held_out, *_) = read_documents(corpus.path / "validation.jsonl")
    assert "no training step ever sees it" in ask("brave-otter", "--document", held_out.id)
    assert json.loads(ask("brave-otter", "--json"))["steps"] == 4


def test_two_questions_at_once_are_refused(pretrained, ask):
    with pytest.raises(ValueError, match="one at a time"):
        ask(str(pretrained), "--step", "1", "--document", "a")
