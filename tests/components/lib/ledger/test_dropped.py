"""A document that a step of the data stage dropped is found by its id, with why and for which."""

import json

import pytest

from components.core.artifacts.data import Documents
from components.core.execute import execute
from components.data.clean import Clean
from components.data.deduplicate import Deduplicate, DeduplicateInputs
from components.data.split import Split
from components.lib.ledger.dropped import dropped
from dashboards.text.ledger import table

LONG = "The harbour office of the northern coast wrote a letter about the price of grain. "


@pytest.fixture
def split(tmp_path, monkeypatch):
    monkeypatch.setenv("BLOOMERY_RAY_ADDRESS", "off")
    folder = tmp_path / "data" / "mine"
    folder.mkdir(parents=True)
    texts = {
        f"mine/{number}": f"Letter {number}. " + " ".join(f"w{number}x{n}" for n in range(80))
        for number in range(200)
    }
    texts |= {"mine/same": texts["mine/3"], "mine/short": "Too short."}
    rows = [json.dumps({"id": name, "text": text}) for name, text in texts.items()]
    (folder / "documents.jsonl").write_text("\n".join(rows) + "\n")
    documents = Documents(path=folder.parent, revision="0" * 32 + ".dir", sources=("mine",))
    clean = execute(Clean(identify_language=False), documents)
    distinct = execute(Deduplicate(min_recall=0, num_planted=0), DeduplicateInputs(documents=clean))
    return execute(Split(), distinct)


def test_what_dropped_a_document_is_said_with_the_one_that_was_kept(split):
    gone = dropped(split.path, "mine/same")
    assert gone is not None
    assert (gone.step, gone.in_favour_of) == ("data.deduplicate", "mine/3")
    assert gone.text.startswith("Letter 3. w3x0")
    shown = [str(cell) for column in table(gone).columns for cell in column.cells]
    assert {"data.deduplicate", "mine/3"} <= {*shown}


def test_the_step_that_dropped_it_first_is_the_one_that_is_named(split):
    gone = dropped(split.path, "mine/short")
    assert gone is not None
    assert (gone.step, gone.reason, gone.in_favour_of) == ("data.clean", "short", "")


def test_a_document_that_no_step_dropped_is_not_found(split):
    assert dropped(split.path, "mine/5") is None
    assert dropped(split.path, "mine/sam") is None
