"""The janitor outlives its supervisor just long enough to stop what that one has started."""

import subprocess
import sys
from pathlib import Path

import psutil

from infra import janitor

# a leader with a child in its group and one in a session of its own, as a worker has its runs
_LEADER = """
import subprocess, sys, time
nap = [sys.executable, "-c", "import time; time.sleep(600)"]
made = [subprocess.Popen(nap), subprocess.Popen(nap, start_new_session=True)]
print(*[process.pid for process in made], flush=True)
time.sleep(600)
"""
_SUPERVISOR = f"""
import subprocess, sys, time
janitor = subprocess.Popen(
    [sys.executable, "-I", {str(Path(janitor.__file__))!r}],
    stdin=subprocess.PIPE, start_new_session=True, text=True,
)
leader = subprocess.Popen(
    [sys.executable, "-c", {_LEADER!r}],
    stdout=subprocess.PIPE, start_new_session=True, text=True,
)
print(leader.stdout.readline().strip(), leader.pid, janitor.pid, flush=True)
print("leader", leader.pid, file=janitor.stdin, flush=True)
print("named", flush=True)
time.sleep(600)
"""


def test_a_killed_supervisor_leaves_no_process_of_its_groups() -> None:
    command = [sys.executable, "-c", _SUPERVISOR]
    supervisor = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    left = [psutil.Process(int(pid)) for pid in supervisor.stdout.readline().split()]
    assert supervisor.stdout.readline() == "named\n"
    assert all(process.is_running() for process in left)
    supervisor.kill()
    supervisor.wait()
    _, alive = psutil.wait_procs(left, timeout=60)
    assert alive == []
