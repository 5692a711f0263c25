"""A full disk: where it is, what is free there, and how much is missing; for real, on /dev/full."""

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from components.core import disk
from components.core.artifacts.base import Artifact
from components.core.artifacts.data import DataRevision
from components.core.component import Component
from components.core.execute import execute

ROOT = Path(__file__).parents[3]


class Written(Artifact):
    pass


class Fill(Component[DataRevision, Written]):
    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataRevision, out: Path) -> Written:
        with Path("/dev/full").open("w") as stream:
            stream.write("x")
        return Written(path=out)


@contextmanager
def no_larger_files_than(num_bytes: int):
    import signal

    before, handler = (
        resource.getrlimit(resource.RLIMIT_FSIZE),
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def caught(work) -> Exception:
    with pytest.raises(Exception) as error:
        work()
    return error.value


def _write_to_a_full_device() -> None:
    with Path("/dev/full").open("w") as stream:
        stream.write("x")


def test_what_is_not_there_is_said_in_bytes_with_the_place_and_its_file_system(tmp_path):
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    place = tmp_path / "not" / "there" / "yet"
    disk.require_room(place, free // 2, "a run")
    with pytest.raises(ValueError) as error:
        disk.require_room(place, 4 * free, "a run")
    said = str(error.value)
    assert said.startswith(f"The disk is full: a run needs {disk.size(4 * free)} and {place} (on ")
    assert "are missing. Free some space" in said
    assert disk.explained(error.value) is None, "it is said twice"


@pytest.mark.parametrize(
    ("num_bytes", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (40_000_000, "40.0 MB"), (2.5e12, "2.5 TB")],
)
def test_bytes_are_written_as_people_read_them(num_bytes, shown):
    assert disk.size(num_bytes) == shown


def test_a_step_that_fills_the_disk_says_where_and_what_is_free_there(home):
    error = caught(lambda: execute(Fill(), DataRevision(revision="1.dir")))
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    assert f"No space left on device: {home}/artifacts/" in str(error)
    assert "(on the file system /" in str(error)
    assert " free. Free some space, or move BLOOMERY_HOME elsewhere" in str(error)


def test_a_full_disk_is_known_by_its_number_by_its_words_and_by_what_led_to_it():
    full = caught(_write_to_a_full_device)
    wrapped = RuntimeError("the server did not start")
    wrapped.__cause__ = full
    words = sqlite3.OperationalError("database or disk is full")
    rust = RuntimeError("I/O error: No space left on device (os error 28)")
    for error in (full, wrapped, words, rust):
        assert disk.is_full(error)
        said = disk.explained(error)
        assert said is not None
        assert said.startswith("The disk is full: ")
        assert " free" in said or " inodes" in said
    for error in (ValueError("28"), OSError(errno.EACCES, "Permission denied"), KeyError("disk")):
        assert not disk.is_full(error)


def test_an_error_that_ends_in_a_circle_is_read_to_its_end():
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    assert not disk.is_full(first)


def test_a_limit_of_the_shell_is_not_called_a_full_disk(tmp_path):
    with no_larger_files_than(1000):
        error = caught(lambda: (tmp_path / "file").write_bytes(b"x" * 5000))
    said = disk.explained(error)
    assert said == "A file became larger than this shell allows: `ulimit -f` says how large."


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 20 MB, where this machine lets us mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("Only root may mount a file system.")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("words", [["run", "data", "--recipe", "smoke"], ["up"]])
def test_a_command_that_has_no_room_says_so_before_it_begins(small_disk, words):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "BLOOMERY_HOME": str(small_disk / "home"),
        "BLOOMERY_TRACKING_URI": "",
    }
    command = [sys.executable, "-m", "flows.command.app", *words]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert "needs 200 MB and" in line
    assert f"(on the file system {small_disk}) has " in line
    assert " MB are missing. Free some space, or move BLOOMERY_HOME elsewhere" in line
