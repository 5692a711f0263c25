"""A service that dies is started again, later each time it dies at once."""

import time
from pathlib import Path

import pytest

from infra.services import Service
from infra.supervisor import Supervisor, supervised
from tests.infra.stacks import until


def _service(tmp_path: Path, code: str) -> Service:
    return Service("nap", ["-c", code], is_ready=(tmp_path / "ready").exists)


def _look(supervisor: Supervisor, events: list[str]) -> None:
    events += supervisor.attend()


def test_a_service_that_is_killed_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "ready").touch()
    with supervised({}, tmp_path) as supervisor:
        process = supervisor.start(_service(tmp_path, "import time; time.sleep(600)"))
        supervisor.wait(process)
        first = process.popen.pid
        process.popen.kill()
        events = list[str]()
        until(lambda: _look(supervisor, events) or process.num_restarts == 1, 30)
        until(lambda: _look(supervisor, events) or process.state == "up", 30)
        second = process.popen.pid
        assert first != second
    assert events == [
        "nap ended with code -9 and starts again in 2 s",
        "nap starts again",
        "nap is up",
    ]
    until(lambda: process.popen.poll() is not None, 10)  # else the janitor has left it


def test_a_service_that_dies_at_once_waits_longer_each_time(tmp_path: Path) -> None:
    with supervised({}, tmp_path) as supervisor:
        process = supervisor.start(_service(tmp_path, "raise SystemExit(3)"))
        started = time.monotonic()
        events = list[str]()
        until(lambda: _look(supervisor, events) or process.num_restarts == 2, 60)
        assert time.monotonic() - started > 2 + 4
    assert [event for event in events if "ended" in event] == [
        "nap ended with code 3 and starts again in 2 s",
        "nap ended with code 3 and starts again in 4 s",
    ]


def test_a_first_start_that_fails_shows_the_end_of_the_log(tmp_path: Path) -> None:
    code = "print('no such table'); raise SystemExit(3)"
    with supervised({}, tmp_path) as supervisor:
        process = supervisor.start(_service(tmp_path, code))
        with pytest.raises(OSError, match=r"nap ended with code 3(.|\n)*no such table"):
            supervisor.wait(process)
    assert (tmp_path / "logs" / "nap.log").read_text("utf-8") == "no such table\n"
