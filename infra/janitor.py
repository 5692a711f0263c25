"""Stop the stack's processes once nobody supervises them any more.

Runs as a process of its own, reads a name and a process id a line (0 has ended by itself), and at
the end of its input stops the processes, the last name first, and then whatever else carries the
stack's mark, a run whose worker was killed for instance. The input ends when
the supervisor closes it and also when the supervisor is killed, so no server outlives it.
PR_SET_PDEATHSIG would not do: it reaches a direct child only, while MLflow serves from a grandchild
and a worker's runs have sessions of their own.
"""

import os
import signal
import sys
import time
from contextlib import suppress

import psutil

MARK = "BLOOMERY_STACK"  # environment variable of all processes of a stack: the home it serves
WAIT_SECONDS = 25.0  # a training under Ray ends within 15 s of its signal
_SERVER_SECONDS = 10.0  # a server has nothing to save; a Ray head would take half a minute


def stop(leader: int) -> None:
    """End a process and its group, after the groups that its children lead: a worker's runs.

    A run that is asked itself ends its own children and tells the server that it crashed.
    """
    for child in _children(leader):
        if _leads(child.pid):
            _end(child.pid, WAIT_SECONDS)
    _end(leader, _SERVER_SECONDS)


def stop_marked(home: str) -> int:
    """End what is left of the stack over `home`, however it came loose; return how many it was."""
    found = _marked(home)
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(found, WAIT_SECONDS)
    for process in [*stubborn, *_marked(home)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return len(found)


def _marked(home: str) -> list[psutil.Process]:
    """Return the processes that inherited the mark of the stack over `home`."""
    found = list[psutil.Process]()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            alive = process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
            if alive and process.environ().get(MARK) == home:
                found.append(process)
    return found


def _orphans(home: str, leaders: list[int]) -> list[int]:
    """Return the leaders of sessions that lost their parent: runs whose worker was killed."""
    found = list[int]()
    for process in _marked(home):
        with suppress(psutil.Error):
            if _leads(process.pid) and process.pid not in leaders and process.ppid() == 1:
                found.append(process.pid)
    return found


def kill_group(group: int) -> None:
    """End at once what a dead leader has left of its group."""
    _signal(group, signal.SIGKILL)


def _end(group: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    _signal(group, signal.SIGTERM)
    while _is_alive(group) and time.monotonic() < deadline:
        time.sleep(0.1)
    _signal(group, signal.SIGKILL)


def _is_alive(group: int) -> bool:
    """Return whether a process of the group runs; one that only waits to be reaped does not."""
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return False


def _leads(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    named = dict[str, int]()  # one that was started again keeps its place
    for name, pid in map(str.split, sys.stdin):
        named[name] = int(pid)
    leaders = [pid for pid in named.values() if pid]
    if len(sys.argv) > 1:
        for run in _orphans(sys.argv[1], leaders):  # while the server is there to be told
            stop(run)
    for leader in reversed(leaders):
        stop(leader)
    if len(sys.argv) > 1:
        stop_marked(sys.argv[1])
