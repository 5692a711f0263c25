"""In what the machines of runs differ, step by step."""

from components.core.journal import Origin
from components.core.machine import Machine
from dashboards.text.machines import differences
from dashboards.text.report import Report, StageRow

PLAIN = Machine(
    processor="AMD EPYC", features=("avx2", "avx512f"), threads=2, workers=1, accelerators=()
)


def _run(**machines: Machine | None) -> Report:
    """Return a run with a step for each name."""
    rows = tuple(
        StageRow(
            stage=name,
            component=name,
            version="1.0.0",
            fingerprint="same",
            cached=False,
            seconds=1.0,
            machine=machine,
        )
        for name, machine in machines.items()
    )
    return Report(
        origin=Origin(), data_revision="", baselines={}, stages=rows, rejected=(), model=None
    )


def test_runs_on_one_machine_or_on_like_ones_differ_in_nothing():
    assert differences({"one": _run(train=PLAIN), "two": _run(train=PLAIN)}) == {}
    assert differences({"one": _run(train=PLAIN)}) == {}
    assert differences({}) == {}


def test_other_features_threads_and_accelerators_of_one_recipe_are_told():
    other = PLAIN.model_copy(
        update={"features": ("avx2",), "threads": 1, "accelerators": ("NVIDIA L4",)}
    )
    assert differences({"one": _run(train=PLAIN), "two": _run(train=other)}) == {
        "machine: features": {"one": "avx2, avx512f", "two": "avx2"},
        "machine: threads": {"one": "2", "two": "1"},
        "machine: accelerators": {"one": "none", "two": "NVIDIA L4"},
    }


def test_steps_that_were_made_on_several_machines_are_told_apart():
    fast = PLAIN.model_copy(update={"threads": 8})
    found = differences(
        {"one": _run(train=PLAIN, align=fast), "two": _run(train=fast, align=PLAIN)}
    )
    assert found == {
        "machine: threads": {"one": "2 (train); 8 (align)", "two": "8 (train); 2 (align)"}
    }


def test_a_step_that_only_one_run_has_is_not_compared():
    fast = PLAIN.model_copy(update={"threads": 8})
    assert differences({"one": _run(train=PLAIN, align=fast), "two": _run(train=PLAIN)}) == {}


def test_a_run_from_before_machines_were_noted_says_so():
    found = differences({"old": _run(train=None), "new": _run(train=PLAIN)})
    assert found["machine: threads"] == {"old": "not recorded", "new": "2"}
