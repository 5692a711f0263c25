"""The lease: one writer a folder, and one that was taken for dead finds out before it writes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.core.lease import Lease, LeaseLost
from components.core.record import hash_files

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

_TAKER = """
import sys, time
from pathlib import Path
from components.core.lease import Lease

out, name, start = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
while time.time() < start:
    pass
try:
    held = Lease.take(out, owner=name)
except ValueError as error:
    print(error)
    sys.exit(1)
print("held", held.number, flush=True)
sys.stdin.read()  # until told to end
held.check()
"""


def _taker(out: Path, name: str, start: float = 0.0) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _TAKER, str(out), name, str(start)]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _silence(out: Path, seconds: float) -> None:
    """Make the holder's last heartbeat that old."""
    (file,) = (out / ".lease").glob("*.json")
    then = time.time() - seconds
    os.utime(file, (then, then))


def test_of_many_processes_that_take_at_once_exactly_one_holds(tmp_path):
    start = time.time() + 4
    takers = [_taker(tmp_path, f"run-{n}", start) for n in range(8)]
    answers = [taker.stdout.readline() for taker in takers]  # the holder lives while others try
    for taker in takers:
        taker.communicate()
    assert answers.count("held 1\n") == 1
    assert sum("is being written by run run-" in answer for answer in answers) == 7


def test_the_other_run_is_named_with_the_remedy(tmp_path):
    other = _taker(tmp_path, "brave-otter")
    assert other.stdout.readline() == "held 1\n"
    with pytest.raises(ValueError, match=r"written by run brave-otter \(process \d+ on .*Stop it"):
        Lease.take(tmp_path, owner="mine")
    other.communicate()


def test_a_dead_process_of_this_machine_is_taken_over_at_once(tmp_path):
    other = _taker(tmp_path, "brave-otter")
    assert other.stdout.readline() == "held 1\n"
    other.kill()
    time.sleep(0.1)  # it is a zombie now: nobody has waited for it
    with Lease.take(tmp_path, owner="mine") as mine:
        assert mine.number == 2
    other.communicate()


def test_a_silent_holder_is_taken_over_and_finds_out_before_it_writes(tmp_path):
    with Lease.take(tmp_path, owner="slow") as slow:
        _silence(tmp_path, 59)
        with pytest.raises(ValueError, match="last heard of 59 s ago"):
            Lease.take(tmp_path, owner="other")
        slow.check()
        _silence(tmp_path, 61)
        with Lease.take(tmp_path, owner="other") as other:
            other.check()
            with pytest.raises(LeaseLost, match="was taken over"):
                slow.check()
        with pytest.raises(LeaseLost):  # a number is never given twice
            slow.check()
        with Lease.take(tmp_path, owner="third") as third:
            assert third.number == 3
            with pytest.raises(LeaseLost):
                slow.check()


def test_a_restart_of_the_same_run_takes_over_from_its_own_live_process(tmp_path):
    with Lease.take(tmp_path, owner="mine") as first, Lease.take(tmp_path, owner="mine") as second:
        second.check()
        with pytest.raises(LeaseLost):
            first.check()


def test_a_released_lease_is_free_for_anyone_at_once(tmp_path):
    for number in (1, 2, 3):
        with Lease.take(tmp_path, owner=f"run-{number}") as held:
            assert held.number == number


def test_a_holder_stays_alive_by_its_heartbeat(tmp_path):
    with Lease.take(tmp_path, owner="mine", heartbeat_seconds=0.05) as mine:
        _silence(tmp_path, 300)
        time.sleep(0.3)
        with pytest.raises(ValueError, match="being written by run mine"):
            Lease.take(tmp_path, owner="other")
        mine.check()


def test_the_lease_is_no_part_of_what_was_made(tmp_path):
    (tmp_path / "made.txt").write_text("x")
    with Lease.take(tmp_path, owner="mine"):
        assert set(hash_files(tmp_path)) == {"made.txt"}


def test_on_a_full_disk_it_is_given_back_without_a_word(tmp_path):
    """What is said takes space; the next run would wait a minute for one that has left."""
    import resource

    held = Lease.take(tmp_path, "a")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        held.release()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with Lease.take(tmp_path, "b") as other:
        assert other.number == held.number + 1
