"""SIGTERM to a run that trains: a checkpoint, a state and an exit code that say so, no failure."""

import os
import re
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.smoke import Smoke

pytestmark = pytest.mark.slow


def _spools(home: Path, before: set[Path]) -> list[Path]:
    found = home.glob("artifacts/pretrain.train/*/*/metrics.jsonl")
    return [file for file in found if file.parent not in before]


def _rows(database: Path, query: str) -> list[tuple[str, ...]]:
    with sqlite3.connect(database) as connection:
        return connection.execute(query).fetchall()


def test_a_run_that_gets_sigterm_saves_and_ends_as_preempted(smoke: Smoke, tmp_path: Path) -> None:
    copy = smoke.copy(tmp_path / "project")
    home = copy.home
    before = set(home.glob("artifacts/pretrain.train/*/*"))
    process = copy.begin(
        *("run", "pretrain", "--recipe", "smoke", "--set", "pretrain.training.num_steps=100000"),
        env={**copy.environment, "BLOOMERY_RAY_ADDRESS": "off"},
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 300
        while not (spools := _spools(home, before)):
            assert process.poll() is None, "it ended before it trained"
            assert time.monotonic() < deadline, "it does not train"
            time.sleep(0.2)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == os.EX_TEMPFAIL, said
    found = re.findall(r"^Preempted after step (\d+)\. The same command goes on .*", said, re.M)
    assert len(found) == 1, said
    assert "Traceback" not in said
    newest = max(spools[0].parent.glob("checkpoints/step_*"))
    assert int(newest.name.removeprefix("step_")) == int(found[0])

    runs = "SELECT DISTINCT state_type, state_name FROM {} WHERE state_type != 'COMPLETED'"
    for table in ("flow_run", "task_run"):
        states = _rows(home / "prefect" / "prefect.db", runs.format(table))
        assert states == [("CANCELLED", "Preempted")], table
    statuses = _rows(home / "mlflow" / "mlflow.db", "SELECT name, status FROM runs")
    assert "KILLED" in {status for name, status in statuses if name.endswith("pretrain.train")}
    assert "FAILED" not in {status for _, status in statuses}
