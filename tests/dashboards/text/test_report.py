"""The scorecard: each number stands in the row of the model it was measured on."""

from pathlib import Path
from typing import Any

from components.core.journal import Origin, Step, find_run, write_step
from components.core.machine import Machine
from components.core.record import Record, write_record
from components.core.settings import settings
from dashboards.text.report import Report, report_of

ORIGIN = Origin(run_id="id", run_name="brave-otter", flow="pipeline")

MACHINE = Machine(
    processor="AMD EPYC", features=("avx2",), threads=2, workers=1, accelerators=("NVIDIA L4",)
)


def _take(component: str, fingerprint: str, *, cached: bool = False, **artifact: Any) -> Path:
    """Write what `execute` leaves of a step: a record and a line of the journal."""
    folder = settings().artifacts / component / "1.0.0" / fingerprint
    folder.mkdir(parents=True)
    record = Record(
        component=component,
        version="1.0.0",
        fingerprint=fingerprint,
        config={},
        inputs={},
        artifact={"path": "", "fingerprint": fingerprint, **artifact},
        files={},
        seed=None,
        seconds=2.0,
        machine=MACHINE,
        packages={},
        git_revision=None,
        data_revision="77.dir" if component != "data.take_documents" else None,
        mlflow_run_id=None,
    )
    write_record(record, folder)
    step = Step(
        component=component,
        version="1.0.0",
        fingerprint=fingerprint,
        cached=cached,
        seconds=2.0,
        path=folder,
    )
    write_step(ORIGIN, step)
    return folder


def _probe(fingerprint: str, model: str, accuracy: float) -> None:
    interval = {"low": accuracy - 0.1, "high": accuracy + 0.1}
    _take(
        "evals.probe",
        fingerprint,
        model=model,
        bits_per_byte=2.0 + accuracy,
        accuracy=accuracy,
        accuracy_interval=interval,
        accuracy_by_task={},
    )


def _report() -> Report:
    return report_of(*find_run("id"))


def test_each_number_stands_in_the_row_of_the_model_it_was_measured_on():
    _take("data.take_documents", "i")
    _take("evals.baselines", "n", unigram=4.0, trigram=3.0)
    _take("pretrain.train", "m1", cached=True, num_parameters=100, bytes_on_disk=400)
    _probe("p1", "m1", 0.25)
    _take("finetune.sft", "m2", num_parameters=100, bytes_on_disk=400)
    _probe("p2", "m2", 0.75)
    report = _report()
    rows = {row.label: row for row in report.stages}
    assert list(rows) == [
        "data.take_documents",
        "evals.baselines",
        "pretrain.train",
        "evals.probe.m1",
        "finetune.sft",
        "evals.probe.m2",
    ]
    for stage, probe, accuracy in (
        ("pretrain.train", "evals.probe.m1", 0.25),
        ("finetune.sft", "evals.probe.m2", 0.75),
    ):
        for row in (rows[stage], rows[probe]):
            assert row.accuracy == accuracy
            assert row.bits_per_byte == 2.0 + accuracy
            assert row.accuracy_interval == (accuracy - 0.1, accuracy + 0.1)
    assert rows["pretrain.train"].cached
    assert not rows["finetune.sft"].cached
    assert rows["pretrain.train"].machine == MACHINE
    assert rows["finetune.sft"].num_parameters == 100
    assert rows["data.take_documents"].accuracy is None
    assert rows["data.take_documents"].stage == "data"
    assert report.baselines == {"unigram": 4.0, "trigram": 3.0}
    assert report.data_revision == "77.dir"
    assert report.rejected == ()
    assert report.model is None


def test_a_rejected_candidate_is_reported_with_its_reasons_and_no_model():
    _take("release.gate", "g", passed=False, failures=["accuracy lost: 0.5"])
    assert _report().rejected == ("accuracy lost: 0.5",)
    assert _report().model is None


def test_a_release_is_reported_with_its_version_and_its_folder():
    folder = _take(
        "release.register", "r", name="bloomery-tiny", registered_version=3, alias="champion"
    )
    model = _report().model
    assert model is not None
    assert (model.name, model.version, model.alias) == ("bloomery-tiny", 3, "champion")
    assert model.path == str(folder)


def test_a_run_that_was_stopped_early_has_a_report_too():
    _take("data.clean", "c", num_documents={"train": 1})
    report = _report()
    assert [row.component for row in report.stages] == ["data.clean"]
    assert report.baselines == {}
    assert Report.model_validate_json(report.model_dump_json()) == report
