"""The doctor tells the truth about this machine, quickly, as JSON."""

import importlib.metadata
import json
import socket
import time
from pathlib import Path

import psutil
import pytest

from components.core.settings import settings
from flows.command import doctor


def test_everything_that_is_found_is_json_and_comes_within_seconds() -> None:
    start = time.monotonic()
    found = doctor.findings()
    assert time.monotonic() - start < 15  # under one second on an idle machine
    assert json.loads(json.dumps(found)) == found


def test_versions_are_those_that_are_installed() -> None:
    packages = doctor.findings()["packages"]
    assert packages["prefect"] == importlib.metadata.version("prefect")
    assert packages["mlflow"] == importlib.metadata.version("mlflow")


def test_a_package_that_differs_from_the_constraints_is_named_with_both_versions(
    tmp_path: Path,
) -> None:
    installed = importlib.metadata.version("prefect")
    file = tmp_path / "constraints.txt"
    file.write_text("prefect==0.1  # old\nno-such-package==1.0\n\nrich>=1\n", encoding="utf-8")
    constraints = doctor._constraints  # pyright: ignore[reportPrivateUsage]
    assert constraints(file) == {"prefect": f"{installed} installed, ==0.1 tested"}
    file.write_text(f"prefect=={installed}\n", encoding="utf-8")
    assert constraints(file) == "as tested (1 packages)"


def test_a_taken_port_is_told_with_its_holder_and_a_free_one_as_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as listener, socket.socket() as unused:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        unused.bind(("127.0.0.1", 0))
        free = unused.getsockname()[1]
        unused.close()
        monkeypatch.setenv("BLOOMERY_HOME", str(tmp_path))
        monkeypatch.setenv("BLOOMERY_PREFECT_PORT", str(listener.getsockname()[1]))
        monkeypatch.setenv("BLOOMERY_MLFLOW_PORT", str(free))
        settings.cache_clear()
        try:
            servers = doctor.findings()["servers"]
        finally:
            settings.cache_clear()
    assert f"process {psutil.Process().pid}" in servers["prefect"]
    assert servers["mlflow"] == f"down, port {free} is free"
