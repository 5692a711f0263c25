"""The journal: what a flow run did, in order, readable without a server."""

from pathlib import Path

import pytest

from components.core.journal import (
    Origin,
    Step,
    find_run,
    read_runs,
    read_steps,
    revision_of_run,
    write_step,
)
from components.core.settings import settings


def _step(component: str, *, cached: bool = False, fingerprint: str = "f0") -> Step:
    path = settings().artifacts / component / "1.0.0" / fingerprint
    return Step(
        component=component,
        version="1.0.0",
        fingerprint=fingerprint,
        cached=cached,
        seconds=1.5,
        path=path,
    )


def _origin(number: int, flow: str = "pipeline") -> Origin:
    return Origin(run_id=f"id-{number}", run_name=f"brave-{number}", flow=flow)


def test_steps_come_back_in_the_order_they_were_taken():
    for name in ("data.clean", "data.tokenize", "pretrain.train"):
        write_step(_origin(1), _step(name))
    folder, run = find_run()
    assert run.origin == _origin(1)
    assert read_steps(folder) == [
        _step("data.clean"),
        _step("data.tokenize"),
        _step("pretrain.train"),
    ]


def test_a_step_that_was_taken_again_counts_once_and_as_made_if_this_run_made_it():
    write_step(_origin(1), _step("data.clean"))
    write_step(_origin(1), _step("evals.probe", fingerprint="a"))
    write_step(_origin(1), _step("evals.probe", fingerprint="b"))
    write_step(_origin(1), _step("evals.gate", cached=True))
    write_step(_origin(1), _step("evals.gate"))
    write_step(_origin(1), _step("data.clean", cached=True))
    steps = read_steps(find_run()[0])
    assert [(step.component, step.fingerprint, step.cached) for step in steps] == [
        ("data.clean", "f0", False),
        ("evals.probe", "a", False),
        ("evals.probe", "b", False),
        ("evals.gate", "f0", False),
    ]


def test_the_revision_of_a_run_is_the_one_that_it_read_last():
    assert revision_of_run(_origin(1)) is None
    write_step(_origin(1), _step("data.take").model_copy(update={"data_revision": "1.dir"}))
    write_step(_origin(1), _step("data.clean"))
    assert revision_of_run(_origin(1)) == "1.dir"
    again = _step("data.take", cached=True).model_copy(update={"data_revision": "2.dir"})
    write_step(_origin(1), again)
    assert revision_of_run(_origin(1)) == "2.dir"


def test_runs_are_found_newest_first_by_name_by_id_and_by_flow():
    for number, flow in enumerate(("pipeline", "pretrain", "pipeline", "evals")):
        write_step(_origin(number, flow), _step("data.clean"))
    assert [run.origin.run_id for _, run in read_runs()] == ["id-3", "id-2", "id-1", "id-0"]
    assert find_run()[1].origin.run_id == "id-3"
    assert find_run("brave-1")[1].origin.run_id == "id-1"
    assert find_run("id-0")[1].origin.run_id == "id-0"
    assert find_run(flow="pipeline")[1].origin.run_id == "id-2"


def test_a_run_that_is_not_there_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"No run in .* Start one with"):
        find_run()
    write_step(_origin(1), _step("data.clean"))
    with pytest.raises(ValueError, match="No run 'bold-7' in"):
        find_run("bold-7")
    with pytest.raises(ValueError, match="No run of 'evals' in"):
        find_run(flow="evals")


def test_a_journal_moves_with_its_home(tmp_path, monkeypatch):
    write_step(_origin(1), _step("data.clean"))
    settings().home.rename(tmp_path / "moved")
    monkeypatch.setenv("BLOOMERY_HOME", str(tmp_path / "moved"))
    settings.cache_clear()
    (step,) = read_steps(find_run()[0])
    assert step.path == tmp_path / "moved" / "artifacts" / Path("data.clean/1.0.0/f0")


def test_a_journal_of_an_incompatible_version_is_left_out_with_a_warning(caplog):
    write_step(_origin(1), _step("data.clean"))
    for number, (name, text) in enumerate(
        [("run.json", '{"flow": "pipeline", "begun": 1}'), ("steps.jsonl", '{"name": "clean"}\n')]
    ):
        old = _origin(10 + number)
        write_step(old, _step("data.clean"))
        (settings().runs / old.run_id / name).write_text(text, encoding="utf-8")
    assert find_run()[1].origin == _origin(1)
    for number in (10, 11):
        assert f"{settings().runs / _origin(number).run_id} is no journal" in caplog.text
