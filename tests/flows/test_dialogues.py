"""Sets that a recipe names: reached by `--set`, refused if not there, fit for the model."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.core.artifacts.data import (
    Comparisons,
    DataCard,
    Dialogues,
    Instructions,
    Preferences,
    TokenShards,
)
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.execute import execute
from components.core.settings import settings
from components.data.repository import dataset
from components.data.sources.source import Source
from dashboards.text.dialogue_card import markdown, read_card
from flows import align, data, finetune
from flows.align import DirectPreference, OwnPreference
from flows.changes import changed
from flows.data import CorpusSteps, TokenSteps
from flows.finetune import Supervised
from flows.pretrain import FromScratch
from flows.recipes import smoke
from flows.stage import NamedSets, Prepared, sets_of
from tests import small_project
from tests.components.data.preparation.sets import (
    a_tokenizer,
    evaluation_of,
    messages,
    write_rows,
)


def test_sets_are_named_by_changes_of_a_recipe_and_nothing_is_by_default() -> None:
    assert sets_of(smoke().stages()) == NamedSets()
    asked = ['finetune.instructions=["mine"]', 'align.preferences=["pairs"]', "align.beta=0.2"]
    made = changed(smoke(), asked)
    assert isinstance(made.align, OwnPreference)
    assert made.align.dpo.beta == 0.2
    assert sets_of(made.stages()) == NamedSets(instructions=("mine",), preferences=("pairs",))
    assert isinstance(changed(made, ["align.num_prompts=9"]).align, DirectPreference)
    with pytest.raises(ValueError, match=r"align\.preferences: Tuple should have at least 1 item"):
        changed(smoke(), ["align.preferences=[]"])


@pytest.mark.parametrize("kind", ["instructions", "preferences"])
def test_a_set_that_is_not_there_is_refused_before_anything_runs(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    project = small_project.make(tmp_path / "project", 2)
    monkeypatch.setenv("BLOOMERY_PROJECT", str(project))
    settings.cache_clear()
    row = {"prompt": "a", "completion": "b", "chosen": "c", "rejected": "d"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    source = Source(location=str(tmp_path / "a.jsonl"), kind=kind)
    dataset.add(project, settings().home, "there", source)
    ran: list[Any] = []
    monkeypatch.setattr(data, "step", lambda *each: ran.append(each))
    sets = NamedSets.model_validate({kind: ("gone",)})
    with pytest.raises(ValueError, match=f"no {kind} called gone; it has: there"):
        data.prepare.__wrapped__(CorpusSteps(), TokenSteps(), FromScratch(), sets)
    assert not ran


def a_model(tmp_path: Path, length: int) -> Checkpoint:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"max_position_embeddings": length}))
    return Checkpoint.model_construct(path=tmp_path / "model", fingerprint="m")


def prepared_of(tmp_path: Path) -> Prepared:
    """Return what stages read, as far as these here do."""
    asked = [{"messages": messages(f"What is {n}?", f"It is {n}.")} for n in range(5)]
    asked.append({"messages": messages("And more?", "x" * 200)})
    pairs = [{"prompt": messages("Who?"), "chosen": f"{n}.", "rejected": "no"} for n in range(3)]
    write_rows(tmp_path / "i", "mine", "dialogues.jsonl", asked)
    write_rows(tmp_path / "p", "pairs", "comparisons.jsonl", pairs)
    return Prepared.model_construct(
        vocabulary=a_tokenizer(tmp_path / "vocabulary"),
        shards=TokenShards.model_construct(path=tmp_path / "shards", fingerprint="s"),
        instructions=Instructions(path=tmp_path / "i", revision="1.dir"),
        preferences=Preferences(path=tmp_path / "p", revision="1.dir"),
        evaluation=evaluation_of(tmp_path / "e", "nothing that anybody says here"),
        card=DataCard.model_construct(path=tmp_path / "card", fingerprint="c"),
    )


def run_prepared(module: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Have the steps of a flow that prepare run, and others be noted with their inputs."""
    noted: list[tuple[str, Any]] = []

    def step(component: Component[Any, Any], inputs: Any) -> Any:
        noted.append((component.name, inputs))
        return execute(component, inputs) if component.stage == "data" else None

    monkeypatch.setattr(module, "step", step)
    monkeypatch.setattr(module, "publish_dialogues", lambda folder: None)
    return noted


def test_named_dialogues_are_prepared_for_the_model_in_hand(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, model = prepared_of(tmp_path), a_model(tmp_path, 100)
    noted = run_prepared(finetune, monkeypatch)
    monkeypatch.setattr(finetune, "SFTInputs", lambda **given: given)
    Supervised().apply(model, prepared)
    Supervised(instructions=("mine",)).apply(model, prepared)
    assert [name for name, _ in noted] == ["finetune.sft", "data.prepare_dialogues", "finetune.sft"]
    assert noted[0][1]["instructions"] is prepared.instructions
    learnt = noted[2][1]["instructions"]
    assert isinstance(learnt, Dialogues)
    assert learnt.dropped == {"longer than the context": 1}
    assert Supervised(instructions=("mine",)).learnt(model, prepared) == (learnt,)
    assert Supervised().learnt(model, prepared) == ()
    text = markdown(read_card(learnt.path))
    assert "| mine  | 6      | 5      | 1 longer than the context |" in text


def test_named_comparisons_take_the_place_of_sampled_pairs(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, model = prepared_of(tmp_path), a_model(tmp_path, 100)
    noted = run_prepared(align, monkeypatch)
    monkeypatch.setattr(align, "DPOInputs", lambda **given: given)
    monkeypatch.setattr(align, "ReferenceInputs", lambda **given: given)
    OwnPreference(preferences=("pairs",)).apply(model, prepared)
    steps = ["data.prepare_pairs", "align.reference", "align.dpo"]
    assert [name for name, _ in noted] == steps
    pairs = noted[2][1]["pairs"]
    assert isinstance(pairs, Comparisons)
    assert pairs.num_pairs == 3
    assert OwnPreference(preferences=("pairs",)).learnt(model, prepared) == (pairs,)
