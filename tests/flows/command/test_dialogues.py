"""`bloomery data add --as ...` as a user types it: dialogues and preferences come in."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.core.settings import settings
from components.data.repository import dataset
from flows.command.app import app
from tests import small_project

ALPACA = [{"instruction": f"Add {n} and 1.", "input": "", "output": f"{n + 1}"} for n in range(3)]
CHAT = {"messages": [{"role": r, "content": c} for r, c in (("user", "a"), ("assistant", "b"))]}


@pytest.fixture
def project(tmp_path, home, monkeypatch) -> Path:
    project = small_project.make(tmp_path / "project", 2)
    monkeypatch.setenv("BLOOMERY_PROJECT", str(project))
    settings.cache_clear()
    return project


def bloomery(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def lines(file: Path, *rows: object) -> str:
    file.write_text("\n".join(map(json.dumps, rows)))
    return str(file)


def rows_of(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_mixed_formats_are_recognised_row_by_row_and_what_is_none_is_written_down(
    project, tmp_path
):
    source = lines(tmp_path / "a.jsonl", *ALPACA, CHAT | {"id": "x7"}, {"body": "no dialogue"})
    words = ("data", "add", "mine", source, "--as", "instructions", "--license", "MIT")
    with pytest.raises(ValueError, match=r"20.0% of the records .*\(1 no known format\)"):
        bloomery(*words)
    shown = bloomery(*words, "--max-bad", "0.5", "--dry-run")
    assert "       3 recognised so far as Alpaca" in shown
    assert '{"messages": [{"content": "Add 0 and 1."' in shown
    shown = bloomery(*words, "--max-bad", "0.5")
    assert "       3 recognised as Alpaca\n       1 recognised as OpenAI messages" in shown
    assert "       1 left out: no known format" in shown
    assert "4 dialogues added to data/instructions/mine, 4 there now." in shown
    assert """bloomery run --set finetune.instructions='["mine"]'""" in shown
    rejects = max((settings().home / "ingests" / "mine").glob("*.jsonl"))
    assert str(rows_of(rejects)[0]["detail"]).startswith("its columns are body; known: OpenAI")
    rows = rows_of(project / "data" / "instructions" / "mine" / "dialogues.jsonl")
    assert [row["id"] for row in rows] == [
        *(f"mine/a.jsonl#{n}" for n in (1, 2, 3)),
        "mine/a.jsonl#x7",
    ]
    held = {each["name"]: each for each in json.loads(bloomery("data", "list", "--json"))}
    mine = held["instructions/mine"]
    assert (mine["kind"], mine["rows"], mine["licenses"]) == ("instructions", 4, {"MIT": 4})
    assert mine["formats"] == {"Alpaca": 3, "OpenAI messages": 1}
    assert held["instructions"]["is_built_in"]
    shown = bloomery("data", "show", "mine")
    assert "4 rows of instructions" in shown
    assert "       4 under MIT" in shown
    assert "user: Add 0 and 1. assistant: 1" in shown


def test_what_is_there_already_is_not_added_again_and_a_set_can_be_removed(project, tmp_path):
    first = lines(tmp_path / "a.jsonl", *ALPACA)
    words = ("data", "add", "mine", first, "--as", "instructions")
    bloomery(*words)
    before = dataset.revision(project)
    lines(tmp_path / "a.jsonl", *ALPACA, CHAT)
    done = json.loads(bloomery(*words, "--append", "--json"))
    assert (done["documents"], done["total_documents"]) == (1, 4)
    assert (done["formats"], done["rejected"]) == ({"OpenAI messages": 1}, {"already there": 3})
    [held] = [h for h in json.loads(bloomery("data", "list", "--json")) if h["rows"] == 4]
    assert held["formats"] == {"Alpaca": 3, "OpenAI messages": 1}
    bloomery("data", "remove", "instructions/mine")
    assert not (project / "data" / "instructions" / "mine").exists()
    assert (project / "data" / "instructions" / "train.jsonl").exists()
    assert dataset.status(project) == "clean"
    bloomery("data", "restore", before, "--checkout")
    assert len(rows_of(project / "data" / "instructions" / "mine" / "dialogues.jsonl")) == 3


def test_no_two_rows_of_a_set_have_one_id_however_they_came(project, tmp_path):
    first = CHAT | {"id": "x"}
    other = {"messages": [CHAT["messages"][0], CHAT["messages"][1] | {"content": "c"}], "id": "x"}
    rows = [first, other, first, other, CHAT, {"prompt": "d", "completion": "e", "id": 5}]
    source = lines(tmp_path / "a.jsonl", *rows)
    words = ("data", "add", "mine", source, "--as", "instructions")
    planned = bloomery(*words, "--dry-run")
    assert "       2 left out so far: repeated row" in planned
    said = "have the id of another row and other content: their id would become ID~"
    assert f"       2 so far {said}" in planned
    assert "mine/a.jsonl#x~" in planned
    shown = bloomery(*words)
    assert "       2 left out: repeated row" in shown
    assert "       2 have the id of another row and other content: their id became ID~" in shown
    file = project / "data" / "instructions" / "mine" / "dialogues.jsonl"
    before = rows_of(file)
    ids = [str(row["id"]).removeprefix("mine/a.jsonl#") for row in before]
    assert [name.partition("~")[0] for name in ids] == ["x", "x", "5", "5"]
    assert [len(name.partition("~")[2]) for name in ids] == [0, 8, 0, 8]
    rejects = max((settings().home / "ingests" / "mine").glob("*.jsonl"))
    assert [row["id"] for row in rows_of(rejects)] == ["mine/a.jsonl#x"] * 2
    assert rows_of(rejects)[0]["detail"] == "an earlier row has its id and its content"
    lines(tmp_path / "a.jsonl", other, first, CHAT | {"id": "y"}, ALPACA[0] | {"id": "x"})
    done = json.loads(bloomery(*words, "--append", "--json"))
    assert done["rejected"] == {"already there": 2}
    assert (done["documents"], done["renamed"]) == (2, 1)
    assert rows_of(file)[:4] == before
    assert len({row["id"] for row in rows_of(file)}) == 6


def test_thoughts_are_left_out_and_said_how_many_and_stay_counted_when_more_is_added(
    project, tmp_path
):
    thought = [CHAT["messages"][0], CHAT["messages"][1] | {"reasoning_content": "Hm."}]
    more = {"messages": [*thought, {"role": "user", "content": "c"}]}
    source = lines(tmp_path / "a.jsonl", {"messages": thought}, more)
    words = ("data", "add", "mine", source, "--as", "instructions")
    planned = bloomery(*words, "--dry-run")
    assert "       2 so far bring reasoning parts, which would be left out" in planned
    assert "       1 so far bring messages after the last answer, which" in planned
    assert "Hm." not in planned
    shown = bloomery(*words)
    assert "       2 reasoning parts, left out of dialogues that were kept" in shown
    assert "       1 messages after the last answer, left out of dialogues" in shown
    words = ("data", "add", "mine", lines(tmp_path / "b.jsonl", {"messages": thought}))
    bloomery(*words, "--as", "instructions", "--append")
    about = json.loads((project / "data" / "instructions" / "mine" / "about.json").read_text())
    assert about["left_out"] == {"messages after the last answer": 1, "reasoning parts": 3}
    chosen = thought[1] | {"content": "2"}
    pair = {"prompt": "Two?", "chosen": [chosen], "rejected": thought[1:]}
    source = lines(tmp_path / "p.jsonl", pair)
    words = ("data", "add", "pairs", source, "--as", "preferences")
    preview = json.loads(bloomery(*words, "--dry-run", "--json"))
    assert (preview["left_out"], preview["renamed"]) == ({"reasoning parts": 1}, 0), "one row"
    shown = bloomery(*words)
    assert "       2 reasoning parts, left out of comparisons that were kept" in shown


def test_preferences_come_in_and_identical_answers_do_not(project, tmp_path):
    pairs = [{"prompt": "Two?", "chosen": c, "rejected": "3"} for c in ("2", "two", "3")]
    source = lines(tmp_path / "p.jsonl", *pairs)
    words = ("data", "add", "pairs", source, "--as", "preferences", "--max-bad", "0.5")
    shown = bloomery(*words)
    assert "       2 recognised as prompt, chosen, rejected" in shown
    assert "       1 left out: identical answers" in shown
    assert "2 comparisons added to data/preferences/pairs" in shown
    rows = rows_of(project / "data" / "preferences" / "pairs" / "comparisons.jsonl")
    assert [row["chosen"] for row in rows] == ["2", "two"]


def test_an_evaluation_set_may_be_of_dialogues(project, tmp_path):
    bloomery("data", "add", "quiz", lines(tmp_path / "a.jsonl", *ALPACA), "--as", "evaluation")
    rows = rows_of(project / "data" / "evaluation" / "quiz" / "documents.jsonl")
    assert rows[0]["text"] == "Add 0 and 1.\n\n1"
    with pytest.raises(ValueError, match="--evaluation says --as evaluation, and --as says"):
        bloomery("data", "add", "x", "a.jsonl", "--as", "preferences", "--evaluation")
    with pytest.raises(ValueError, match="'documents', 'evaluation', 'instructions'"):
        bloomery("data", "add", "x", "a.jsonl", "--as", "poems")
    with pytest.raises(ValueError, match=r"gives no document .* which have no rows"):
        (tmp_path / "a.txt").write_text("no rows")
        bloomery("data", "add", "x", str(tmp_path / "a.txt"), "--as", "instructions")


@pytest.mark.parametrize("form", ["csv", "json", "parquet", "sql", "hf"])
def test_every_connector_gives_dialogues(project, tmp_path, form):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    source, more = tmp_path / f"a.{form}", ()
    if form == "csv":
        source.write_text('prompt,completion\n"One, and?",2\nThree?,4\n')
    elif form == "json":
        source.write_text(json.dumps([{"prompt": p, "completion": "2"} for p in "ab"]))
    elif form == "parquet":
        parquet.write_table(pa.Table.from_pylist([CHAT, CHAT]), source)
    elif form == "sql":
        import sqlite3

        with sqlite3.connect(source) as base:
            base.execute("create table t (question text, answer text)")
            base.executemany("insert into t values (?, ?)", [("a", "b"), ("c", "d")])
        source = f"sqlite:///{source}"
        more = ("--query", "select question, answer from t")
    else:
        import datasets

        datasets.Dataset.from_list([CHAT, CHAT]).save_to_disk(str(source))
    bloomery("data", "add", "mine", str(source), "--as", "instructions", *more)
    assert len(rows_of(project / "data" / "instructions" / "mine" / "dialogues.jsonl")) == 2
