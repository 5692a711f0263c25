"""The card before: the newest one of other documents, however often these were looked at again."""

from components.core.artifacts.data import DataCard, Documents
from components.core.journal import Origin, Step, write_step
from components.core.record import InputRecord, Record, write_record
from components.core.settings import settings
from flows.cards import card_before


def _card(run: str, read: dict[str, str]) -> None:
    """Leave what a run does that made a card of the artifacts `read`."""
    out = settings().artifacts / "data.card" / "1.0.1" / f"card-of-{run}"
    out.mkdir(parents=True)
    made = DataCard(path=out, num_documents=1, num_tokens=1, measures={})
    record = Record(
        component="data.card",
        version="1.0.1",
        fingerprint=out.name,
        config={},
        inputs={n: InputRecord(path=out.parent / p, fingerprint=p) for n, p in read.items()},
        artifact=made.model_dump(mode="json"),
        files={},
        seed=None,
        seconds=1.0,
        devices="",
        packages={},
        git_revision=None,
        data_revision=None,
        mlflow_run_id=None,
    )
    write_record(record, out)
    step = Step(
        component="data.card",
        version="1.0.1",
        fingerprint=out.name,
        cached=False,
        seconds=1.0,
        path=out,
    )
    write_step(Origin(run_id=run, run_name=run, flow="data"), step)


def _before(documents: str) -> str | None:
    path = settings().artifacts / "data.take_documents" / "1.0.0" / documents
    found = card_before(Documents(path=path, revision="9.dir", sources=()))
    return found and found.fingerprint


def test_the_card_before_is_the_newest_that_was_made_of_other_documents():
    assert _before("a") is None
    _card("first", {"documents": "a"})
    assert _before("a") is None
    _card("second", {"documents": "b"})
    _card("third", {"documents": "b"})
    assert _before("b") == "card-of-first"
    assert _before("a") == "card-of-third"


def test_a_card_of_the_layout_before_this_is_one_of_other_documents():
    _card("old", {"raw": "a"})
    assert _before("a") == "card-of-old"
