import json
from pathlib import Path

import pytest

from components.core.artifacts.reports import Interval, ProbeReport
from components.release.difference import accuracy_difference


def _report(folder: Path, right: dict[str, bool]) -> ProbeReport:
    folder.mkdir()
    items = [{"id": task, "right": answer} for task, answer in right.items()]
    (folder / "report.json").write_text(json.dumps({"items": items}))
    return ProbeReport(
        path=folder,
        model="m",
        bits_per_byte=2.0,
        accuracy=0.5,
        accuracy_interval=Interval(low=0.4, high=0.6),
        accuracy_by_task={},
    )


def test_a_paired_interval_is_narrower_than_the_models_own_and_around_the_gain(tmp_path):
    before = {f"t{i}": i % 2 == 0 for i in range(400)}
    after = before | {f"t{i}": True for i in range(1, 41, 2)}  # 20 more of 400
    found = accuracy_difference(_report(tmp_path / "a", after), _report(tmp_path / "b", before))
    assert found is not None
    assert found.low > 0
    gain, deviation = 0.05, (0.05 * 0.95 / 400) ** 0.5
    assert found.low == pytest.approx(gain - 1.96 * deviation, abs=0.004)
    assert found.high == pytest.approx(gain + 1.96 * deviation, abs=0.004)


def test_models_that_were_given_no_common_task_are_not_compared(tmp_path):
    one, other = {"a": True}, {"b": True}
    assert accuracy_difference(_report(tmp_path / "a", one), _report(tmp_path / "b", other)) is None
