"""Scorecards and disk use, out of journals that `execute` wrote."""

import shutil

import pandas as pd
import pytest

from components.core.execute import execute
from components.core.files import size_of
from components.data.clean import Clean
from components.data.deduplicate import Deduplicate, DeduplicateInputs
from dashboards.reading import journals
from dashboards.reading.journals import DiskUse
from tests.dashboards import store


@pytest.fixture
def cleaned_by_two_runs(mlflow, documents):
    """Two runs: the second is served what the first made, and makes something of its own."""
    one, two = store.origin("one"), store.origin("two")
    shared = execute(Clean(), documents, one)
    assert execute(Clean(), documents, two) == shared
    own = execute(Clean(min_characters=300), documents, two)
    return shared.path, own.path


def test_an_artifact_counts_once_at_the_run_that_made_it(cleaned_by_two_runs):
    shared, own = map(size_of, cleaned_by_two_runs)
    assert min(shared, own) > 1_000
    assert journals.disk_use() == {
        "id-one": DiskUse(made=shared, shared=0),
        "id-two": DiskUse(made=own, shared=shared),
    }


def test_what_was_removed_takes_no_space_and_what_was_made_again_is_the_last_maker_s(
    cleaned_by_two_runs, documents
):
    shared, own = cleaned_by_two_runs
    own_size = size_of(own)
    shutil.rmtree(shared)
    assert journals.disk_use()["id-one"] == DiskUse(0, 0)
    assert journals.disk_use()["id-two"] == DiskUse(own_size, 0)
    execute(Clean(), documents, store.origin("three"))
    use = journals.disk_use()
    assert use["id-three"].made == use["id-one"].shared == use["id-two"].shared > 0
    assert use["id-one"].made == 0


def test_a_finished_artifact_is_measured_once(cleaned_by_two_runs):
    shared, _ = cleaned_by_two_runs
    before = journals.disk_use()
    (shared / "left behind").write_bytes(b"0" * 5_000)
    assert journals.disk_use() == before


def test_a_run_whose_steps_were_all_served_has_a_scorecard_too(mlflow):
    store.journal(store.origin("one"), "base")
    store.journal(store.origin("again"), "base", is_cached=True)
    made, served = (journals.report_here(f"id-{name}") for name in ("one", "again"))
    assert made is not None and served is not None
    assert [row.cached for row in served.stages] == [True, True]
    assert [row.bits_per_byte for row in served.stages] == [1.9, 1.9]
    assert served.origin.run_name == "again"


def test_a_run_that_this_machine_knows_nothing_of_or_has_lost_has_none_here(mlflow):
    assert journals.report_here("id-elsewhere") is None
    folder = store.journal(store.origin("one"), "base")
    shutil.rmtree(folder)
    assert journals.report_here("id-one") is None


def test_what_a_step_read_is_what_its_record_says_and_else_what_prefect_does(mlflow, documents):
    one = store.origin("one")
    clean = execute(Clean(), documents, one)
    execute(Deduplicate(), DeduplicateInputs(documents=clean), one)
    rows = [("a", "data.clean", []), ("b", "data.deduplicate", []), ("c", "data.split", ["b"])]
    steps = pd.DataFrame(rows, columns=["id", "step", "reads"])
    assert list(journals.with_reads("id-one", steps)["reads"]) == [[], ["a"], ["b"]]
    assert list(journals.with_reads("id-elsewhere", steps)["reads"]) == [[], [], ["b"]]
    shutil.rmtree(clean.path.parent.parent.parent / "data.deduplicate")
    assert list(journals.with_reads("id-one", steps)["reads"]) == [[], [], ["b"]]
